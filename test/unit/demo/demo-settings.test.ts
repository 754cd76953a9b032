import { execFileSync } from 'node:child_process'
import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { exitCodeOf } from '#src/cli/failure.ts'
import { exportLine, ignoredLine, takeDemoSettings } from '#tools/demo/settings.ts'

/** What a team's `.env` may hold. */
const PRODUCTION = {
  KAFKA_BROKERS: 'kafka.example:9092',
  KAFKA_TOPIC: 'shop.orders',
  KAFKA_SECURITY_PROTOCOL: 'sasl_ssl',
  KAFKA_SASL_PASSWORD_FILE: '/run/secrets/kafka',
  DATABASE_URL: 'postgres://app:geheim@db.example:5432/shop',
  DATABASE_DIRECT_URL: 'postgres://app:geheim@db.example:5433/shop',
  PGSSLMODE: 'require',
  PG_SCHEMA: 'shop',
  HTTP_HOST: '0.0.0.0',
  HTTP_PORT: '8081',
  API_KEYS: 'ops:admin:00',
  AUTH: 'off',
  METRICS_PORT: '9100',
  OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector.example:4318',
  TRACE_URL: 'https://traces.example/{trace_id}',
  NOTIFY_WEBHOOK_URL: 'https://hooks.example/x',
}
const HARMLESS = {
  BATCH_MAX_RECORDS: '10',
  LOG_LEVEL: 'debug',
  HTTP_PROXY: 'http://proxy:3128',
  OTEL_SDK_DISABLED: 'true',
}

function terminal(typed: string | undefined) {
  const input = Object.assign(new PassThrough(), { isTTY: true }) as unknown as NodeJS.ReadStream
  const output = new PassThrough()
  const shown: string[] = []
  output.on('data', chunk => shown.push(String(chunk)))
  if (typed === undefined) input.push(null)
  else input.push(`${typed}\n`)
  return { input, output, shown: () => shown.join('') }
}

describe('without --use-env', () => {
  it('nothing that leads to other servers is in effect, what tunes is, and one line says so without a value', async () => {
    const env: Record<string, string> = { ...PRODUCTION, ...HARMLESS }
    const settings = await takeDemoSettings(env, PRODUCTION, { produce: true })
    expect(env).toEqual(HARMLESS)
    expect(settings).toEqual({ ignored: Object.keys(PRODUCTION).sort() })
    const line = ignoredLine(settings)
    for (const [name, value] of Object.entries(PRODUCTION)) {
      expect(line).toContain(name)
      expect(line).not.toContain(value)
    }
    expect(line).toContain('--use-env')
    expect(line).not.toContain('\n')
  })

  it('says nothing where nothing is set', async () => {
    expect(
      ignoredLine(await takeDemoSettings({ ...HARMLESS, KAFKA_BROKERS: '' }, {}, { produce: true })),
    ).toBeUndefined()
  })

  it('takes a port from the shell, not from .env', async () => {
    const env = { HTTP_PORT: '8099' }
    await takeDemoSettings(env, { HTTP_PORT: '8081' }, { produce: true })
    expect(env).toEqual({ HTTP_PORT: '8099' })
  })
})

describe('with --use-env', () => {
  const flags = { useEnv: true, produce: true, rate: 200 }
  const named = {
    KAFKA_BROKERS: PRODUCTION.KAFKA_BROKERS,
    DATABASE_URL: PRODUCTION.DATABASE_URL,
    KAFKA_TOPIC: 'shop.orders',
  }

  it('says which servers, and what it will do to them, and goes on once the name of the database is typed', async () => {
    const tty = terminal('shop')
    const settings = await takeDemoSettings({ ...named }, {}, flags, tty)
    expect(settings).toEqual({ kafkaBrokers: named.KAFKA_BROKERS, databaseUrl: named.DATABASE_URL, ignored: [] })
    for (const part of [
      'kafka.example:9092',
      'shop.orders',
      'db.example:5432',
      'shop',
      'migrates',
      '200 invented records a second',
    ])
      expect(tty.shown()).toContain(part)
    expect(tty.shown()).not.toContain('geheim')
  })

  it.each(['', 'y', 'yes', 'Shop', undefined])('does nothing when %j is typed', async typed => {
    const code = await takeDemoSettings({ ...named }, {}, flags, terminal(typed)).catch(exitCodeOf)
    expect(code).toBe(1)
  })

  it('asks for the name of the topic where only Kafka is named', async () => {
    const env = { KAFKA_BROKERS: named.KAFKA_BROKERS, KAFKA_TOPIC: named.KAFKA_TOPIC }
    expect(await takeDemoSettings(env, {}, flags, terminal('shop.orders'))).toMatchObject({ databaseUrl: undefined })
  })

  it('is a wrong use without a terminal, and where no server is named', async () => {
    const input = new PassThrough() as unknown as NodeJS.ReadStream
    const asked = takeDemoSettings({ ...named }, {}, flags, { input, output: new PassThrough() })
    await expect(asked).rejects.toThrow(/no terminal.*Without --use-env the demo starts servers of its own/)
    expect(await asked.catch(exitCodeOf)).toBe(2)
    expect(await takeDemoSettings({}, {}, flags, terminal('shop')).catch(exitCodeOf)).toBe(2)
  })
})

describe('the line for another shell', () => {
  it('names the servers that were started, and hides what .env says of others', () => {
    const started = { KAFKA_BROKERS: '127.0.0.1:9', DATABASE_URL: "postgres://u:it's@127.0.0.1:5/holdfast" }
    const line = exportLine(started, { ignored: ['API_KEYS', 'KAFKA_BROKERS', 'KAFKA_TOPIC', 'PGSSLMODE'] })
    const shell = `${line}; printf '%s|' "$KAFKA_BROKERS" "$DATABASE_URL" "$KAFKA_TOPIC" "$PGSSLMODE" "$API_KEYS"`
    const env = { KAFKA_TOPIC: 'shop.orders', PGSSLMODE: 'require', API_KEYS: 'kept' }
    expect(execFileSync('/bin/sh', ['-c', shell], { env, encoding: 'utf8' })).toBe(
      `127.0.0.1:9|${started.DATABASE_URL}|||kept|`,
    )
  })

  it('is not there where none was started', () => {
    expect(exportLine({ KAFKA_BROKERS: undefined, DATABASE_URL: undefined }, { ignored: [] })).toBeUndefined()
  })
})
