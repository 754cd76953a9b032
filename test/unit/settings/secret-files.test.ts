import { createHash } from 'node:crypto'
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { ConfigError } from '#src/engine/errors.ts'
import { loadConfig } from '#src/settings/config.ts'
import { describeConfig } from '#src/settings/describe.ts'
import { misspeltSettings } from '#src/settings/environment.ts'
import type { Environment } from '#src/settings/origins.ts'
import { SETTINGS } from '#src/settings/settings.ts'

let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-secrets-'))
})
afterAll(() => {
  rmSync(dir, { recursive: true })
})

let files = 0
function fileWith(text: string | Buffer): string {
  const path = join(dir, String(files++))
  writeFileSync(path, text)
  return path
}

function problemsOf(env: Environment): readonly string[] {
  try {
    loadConfig(env)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

const SASL = { KAFKA_SECURITY_PROTOCOL: 'sasl_ssl', KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512', KAFKA_SASL_USERNAME: 'app' }
const waitFor = (look: () => void) => vi.waitFor(look, 10_000)
const hash = (key: string) => createHash('sha256').update(key).digest('hex')

describe('a secret in a file', () => {
  it('is read without the line break at its end, and shown with its origin', () => {
    const env = { ...SASL, KAFKA_SASL_PASSWORD_FILE: fileWith(' pass word \r\n') }
    expect(loadConfig(env).kafka.logins?.current()).toEqual({ username: 'app', password: ' pass word ' })
    expect(describeConfig(env).find(({ name }) => name === 'KAFKA_SASL_PASSWORD')).toMatchObject({
      value: '***',
      origin: 'file',
    })
  })

  it('may be any secret, and what is exchanged together with one', () => {
    const inFiles = Object.entries(SETTINGS).flatMap(([name, { inFile }]) => (inFile ? [name] : []))
    expect(inFiles).toEqual(
      expect.arrayContaining([
        ...[
          'KAFKA_SASL_USERNAME',
          'KAFKA_SASL_PASSWORD',
          'KAFKA_SASL_OAUTH_CLIENT_ID',
          'KAFKA_SASL_OAUTH_CLIENT_SECRET',
        ],
        ...['KAFKA_SSL_KEY_PASSWORD', 'KAFKA_CONFIG', 'DATABASE_URL', 'API_KEYS', 'NOTIFY_WEBHOOK_URL'],
      ]),
    )
    // Whatever is hidden as a whole is a secret.
    const hidden = Object.entries(SETTINGS).filter(([, { shown }]) => shown('a=b') === '***')
    expect(hidden.filter(([, { inFile }]) => !inFile)).toEqual([])
    expect(hidden.length).toBeGreaterThan(3)
    const url = 'postgres://app:secret@db/orders'
    expect(loadConfig({ DATABASE_URL_FILE: fileWith(`${url}\n`) }).postgres.url).toBe(url)
    expect(misspeltSettings({ KAFKA_SASL_PASSWORD_FILE: '/x', HTTP_PORT_FILE: '/x' })).toEqual([
      expect.stringContaining('HTTP_PORT_FILE is no setting'),
    ])
  })

  it.each<[string, () => Environment, RegExp]>([
    [
      'is set beside its value',
      () => ({ ...SASL, KAFKA_SASL_PASSWORD: 'x', KAFKA_SASL_PASSWORD_FILE: fileWith('y') }),
      /^KAFKA_SASL_PASSWORD and KAFKA_SASL_PASSWORD_FILE are both set: leave one of them out$/,
    ],
    [
      'is not there',
      () => ({ DATABASE_URL_FILE: join(dir, 'none') }),
      /^DATABASE_URL_FILE is ".*none": it must be the path of a file that can be read \(ENOENT\)$/,
    ],
    ['is a folder', () => ({ DATABASE_URL_FILE: dir }), /must be the path of a regular file$/],
    ['is empty', () => ({ API_KEYS_FILE: fileWith('\n') }), /must be the path of a file that is not empty$/],
    ['is too large', () => ({ API_KEYS_FILE: fileWith('x'.repeat(70_000)) }), /a file of at most 64 KiB$/],
    ['is no text', () => ({ API_KEYS_FILE: fileWith(Buffer.from([0xff, 0xfe, 0])) }), /a file with UTF-8 text$/],
    [
      'holds what cannot be used, which is not repeated',
      () => ({ DATABASE_URL_FILE: fileWith('mysql://u:secret@h/d') }),
      /^DATABASE_URL_FILE is ".*", which holds "mysql:\/\/u:\*\*\*@h\/d": it must be a URL as in postgres:/,
    ],
  ])('ends the start where it %s', (_, env, expected) => {
    const [problem, ...others] = problemsOf(env())
    expect(problem).toMatch(expected)
    expect(others).toEqual([])
  })
})

describe('a file that changes', () => {
  it('is read again: each secret is as the file has it now', async () => {
    const password = fileWith('old')
    const keys = fileWith(`a:read:${hash('1')}`)
    const webhook = fileWith('https://hooks.example.com/one')
    const config = loadConfig({
      ...SASL,
      KAFKA_SASL_PASSWORD_FILE: password,
      API_KEYS_FILE: keys,
      NOTIFY_WEBHOOK_URL_FILE: webhook,
    })
    const setSaslCredentials = vi.fn()
    const client = { setSaslCredentials }
    config.kafka.logins?.follow(client)
    writeFileSync(password, 'new\n')
    writeFileSync(keys, `b:admin:${hash('2')}`)
    writeFileSync(webhook, 'https://hooks.example.com/two')
    await waitFor(() => expect(config.kafka.logins?.current()).toEqual({ username: 'app', password: 'new' }))
    expect(setSaslCredentials.mock.calls).toEqual([['app', 'new']])
    expect(config.http.currentKeys()).toEqual([{ name: 'b', role: 'admin', sha256: hash('2') }])
    expect(config.notify.currentUrl()).toBe('https://hooks.example.com/two')
    expect(config.files.look()).toMatchObject({
      changed: ['KAFKA_SASL_PASSWORD', 'API_KEYS', 'NOTIFY_WEBHOOK_URL'],
      atNextStart: [],
      problems: [],
    })
  })

  it('is found again behind a link that is exchanged, as Kubernetes does', async () => {
    const link = join(dir, 'current')
    symlinkSync(fileWith('postgres://app:one@db/orders'), link)
    const config = loadConfig({ DATABASE_URL_FILE: link })
    symlinkSync(fileWith('postgres://app:two@db/orders'), `${link}.next`)
    renameSync(`${link}.next`, link)
    await waitFor(() => expect(config.postgres.currentUrl()).toBe('postgres://app:two@db/orders'))
  })

  it('stays in effect while its new content cannot be used', async () => {
    const password = fileWith('old')
    const config = loadConfig({ ...SASL, KAFKA_SASL_PASSWORD_FILE: password })
    writeFileSync(password, '')
    await waitFor(() => expect(config.files.look().problems).toEqual([expect.stringContaining('is not empty')]))
    expect(config.kafka.logins?.current().password).toBe('old')
    writeFileSync(password, 'new')
    await waitFor(() => expect(config.kafka.logins?.current().password).toBe('new'))
    expect(config.files.look().problems).toEqual([])
  })

  it('moves the records to no other database while the process runs', async () => {
    const file = fileWith('postgres://app:one@db/orders')
    const config = loadConfig({ DATABASE_URL_FILE: file })
    writeFileSync(file, 'postgres://other:tw%40o@elsewhere:5433/another')
    await waitFor(() => expect(config.postgres.currentUrl()).toBe('postgres://other:tw%40o@db/orders'))
    expect(config.files.look()).toMatchObject({ changed: ['DATABASE_URL'], atNextStart: ['DATABASE_URL'] })
  })
})
