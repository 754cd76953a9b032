import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { describe, expect, it } from 'vitest'
import { checkEncoding } from '#src/cli/env-file.ts'
import { loadConfig } from '#src/settings/config.ts'
import { misspeltSettings, tidyEnvironment } from '#src/settings/environment.ts'

describe('the environment, tidied,', () => {
  it('gives the first variable of a .env back that a byte-order mark had hidden', () => {
    const env = { '\uFEFFKAFKA_BROKERS': 'kafka:9092' }
    expect(tidyEnvironment(env)).toEqual([])
    expect(loadConfig(env).kafka.brokers).toEqual(['kafka:9092'])
  })

  it('holds nothing that the client of Postgres would read behind our back, and says so', () => {
    const env = { PGSSLMODE: 'disable', PGUSER: 'root', PGOPTIONS: '-c fsync=off', PG_POOL_MAX: '2', PGDATA: '/data' }
    expect(tidyEnvironment(env)).toEqual([
      'PGSSLMODE, PGUSER, PGOPTIONS have no effect: DATABASE_URL alone says how Postgres is reached',
    ])
    expect(env).toEqual({ PG_POOL_MAX: '2', PGDATA: '/data' })
  })

  it('does not switch the check of certificates off', () => {
    const env = { NODE_TLS_REJECT_UNAUTHORIZED: '0' }
    expect(tidyEnvironment(env)).toEqual([expect.stringContaining('certificates are always checked')])
    expect(env).toEqual({})
  })
})

describe('a variable that is no setting', () => {
  it.each([
    ['KAFKA_TOPIK', 'KAFKA_TOPIC'],
    ['HTTP_PROT', 'HTTP_PORT'],
    ['DLQ_STORM_MAX_CONSECUTIV', 'DLQ_STORM_MAX_CONSECUTIVE'],
    ['PG_POOLMAX', 'PG_POOL_MAX'],
    ['DATABASE_URI', 'DATABASE_URL'],
    ['API_KEY', 'API_KEYS'],
    ['LOGLEVEL_', undefined],
  ])('%s is told with the nearest name: %s', (name, nearest) => {
    const expected = `${name} is no setting of Holdfast, and has no effect; did you mean ${nearest}?`
    expect(misspeltSettings({ [name]: 'x' })).toEqual(nearest === undefined ? [] : [expected])
  })

  it('is told whatever its prefix, where it stands in .env', () => {
    const file = { DATABSE_URL: 'x', HTPP_PORT: 'x', COMPOSE_PROJECT_NAME: 'x' }
    expect(misspeltSettings(file)).toEqual([])
    expect(misspeltSettings(file, file)).toEqual([
      'DATABSE_URL is no setting of Holdfast, and has no effect; did you mean DATABASE_URL?',
      'HTPP_PORT is no setting of Holdfast, and has no effect; did you mean HTTP_PORT?',
    ])
  })

  it('is told by its prefix alone where that is ours', () => {
    expect(misspeltSettings({ KAFKA_SASL_KERBEROS_KEYTAB: 'x' })).toEqual([
      'KAFKA_SASL_KERBEROS_KEYTAB is no setting of Holdfast, and has no effect',
    ])
  })

  it.each([
    ...['KAFKA_OPTS', 'KAFKA_HEAP_OPTS', 'KAFKA_LOG4J_OPTS', 'KAFKA_ADVERTISED_LISTENERS', 'KAFKA_SERVICE_HOST'],
    ...['KAFKA_PORT_9092_TCP_ADDR', 'HTTP_PROXY', 'PG_CONFIG', 'PG_MAJOR', 'PGUSER', 'LOG_DIR', 'API_URL', 'PATH'],
  ])('%s belongs to others', name => {
    expect(misspeltSettings({ [name]: 'x' })).toEqual([])
  })

  it('stands in none of our own examples', () => {
    for (const file of ['.env.example', 'cluster.env', '.env.container.example']) {
      const text = readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8').replaceAll(
        /^# ?(?=[A-Z_]+=)/gm,
        '',
      )
      expect(misspeltSettings(parseEnv(text))).toEqual([])
    }
  })
})

describe('the encoding of .env', () => {
  const text = 'KAFKA_TOPIC=returns\n'

  it.each([
    ['UTF-16 with a mark', Buffer.from(`\uFEFF${text}`, 'utf16le')],
    ['UTF-16, the other way round', Buffer.from(`\uFEFF${text}`, 'utf16le').swap16()],
    ['UTF-16 without a mark', Buffer.from(text, 'utf16le')],
  ])('%s is refused: none of its settings would be read', (_, bytes) => {
    expect(() => checkEncoding(bytes)).toThrow('save it as UTF-8')
  })

  it.each(['', '\uFEFF', 'A=ü\n', text])('UTF-8 is taken: %j', taken => {
    expect(() => checkEncoding(Buffer.from(taken))).not.toThrow()
  })
})
