import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, expect, it, onTestFinished } from 'vitest'
import { COMPILED } from '../../support/service.ts'

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Nothing that this process was given, such as FORCE_COLOR. */
const PLAIN = { PATH: process.env.PATH, NO_COLOR: '1', ...COMPILED }

async function holdfast(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const child = spawn(process.execPath, ['src/cli/main.ts', ...args], {
    env: { ...PLAIN, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const { promise, resolve } = Promise.withResolvers<number | null>()
  child.once('close', resolve)
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), promise])
  return { code, stdout, stderr }
}

describe('the command line', () => {
  it('helps on stdout, with every command and exit code 0', async () => {
    const { code, stdout, stderr } = await holdfast(['--help'])
    expect(code).toBe(0)
    expect(stderr).toBe('')
    for (const command of ['produce', 'get', 'config']) expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'))
  })

  it('helps without loading what commands work with', async () => {
    const { stderr } = await holdfast(['--help'], { NODE_OPTIONS: '--import ./test/support/loaded-packages.mjs' })
    expect(JSON.parse(/^packages: (.*)$/m.exec(stderr)?.[1] ?? 'null')).toEqual(['commander'])
  })

  it.each([[['produce']], [['config']], [['get']]])('shows examples for %s', async command => {
    const { code, stdout } = await holdfast([...command, '--help'])
    expect(code).toBe(0)
    expect(stdout).toContain(`holdfast ${command.join(' ')}`)
    expect(stdout).toMatch(/Examples?:/)
  })

  it.each<[string, readonly string[], RegExp]>([
    ['nothing to do', [], /Usage: holdfast/],
    ['an unknown command', ['prodce'], /unknown command 'prodce'\n\(Did you mean produce\?\)/],
    ['an unknown flag', ['produce', '--cuont', '3'], /unknown option '--cuont'\n\(Did you mean --count\?\)/],
    ['a value out of bounds', ['produce', '--invalid', '200%'], /from 0% to 100%/],
    ['flags that do not go together', ['produce', '--file', 'x', '--seed', '1'], /cannot be used with/],
    ['a key for generated records', ['produce', '--key', 'x', '--count', '1'], /--key is for records of --file/],
    ['a file that is not there', ['produce', '--file', 'no-such-file'], /no such file/],
    ['a key that cannot be one', ['get', '../x'], /"\.\.\/x" cannot be a key of the stream orders/],
    ['the same by the word of the stream', ['order', 'get', '../x'], /cannot be a key of the stream orders/],
    [
      'a stream that there is not',
      ['get', 'x', '--stream', 'order'],
      /no stream "order": the streams are orders; did you mean orders\?/,
    ],
    ['an edit that is not there', ['dlq', 'redrive', 'id:orders-0-1', '--edit', 'no-such-file'], /no such file/],
    [
      'a folder that is a file',
      ['demo', '--data', 'package.json'],
      /--data \S+package\.json cannot be used: it is a file/,
    ],
    ['a missing argument', ['order', 'get'], /missing required argument 'key'/],
  ])('ends with 2 on %s', async (_, args, expected) => {
    const { code, stdout, stderr } = await holdfast(args)
    expect(stderr).toMatch(expected)
    expect(stderr).not.toMatch(/^\s+at /m)
    expect(stdout).toBe('')
    expect(code).toBe(2)
  })

  it('ends with 2 on settings, and names all that cannot be used', async () => {
    const { code, stdout, stderr } = await holdfast(['config'], { HTTP_PORT: 'x', AUTH: 'maybe' })
    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/HTTP_PORT is "x"/)
    expect(stderr).toMatch(/AUTH is "maybe"/)
  })

  it.each([
    ['foo=bar', /^error: KAFKA_CONFIG cannot be used: No such configuration property: "foo"\n$/],
    ['debug=few', /^error: KAFKA_CONFIG cannot be used: Invalid value .*"debug"/],
  ])('ends with 2 on a property that the Kafka client does not take: %s', async (KAFKA_CONFIG, expected) => {
    const { code, stderr } = await holdfast(['serve', '--check-config'], { KAFKA_CONFIG })
    expect(stderr).toMatch(expected)
    expect(code).toBe(2)
  })

  it('tells its version', async () => {
    const { code, stdout } = await holdfast(['--version'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  })

  it('tells settings of .env from those of the environment, wherever it is run from', async () => {
    const cwd = mkdtempSync(join(tmpdir(), 'holdfast-env-'))
    onTestFinished(() => rmSync(cwd, { recursive: true }))
    writeFileSync(join(cwd, '.env'), 'KAFKA_TOPIC=from-file\nKAFKA_GROUP_ID=from-file\n')
    const child = spawn(resolve('bin/holdfast'), ['config', '--json'], {
      cwd,
      env: { PATH: process.env.PATH, ...COMPILED, KAFKA_GROUP_ID: 'from-outside' },
    })
    const rows = (await text(child.stdout))
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
    const origins = new Map(rows.map(({ name, value, origin }) => [name, `${value} (${origin})`]))
    expect(origins.get('KAFKA_TOPIC')).toBe('from-file (.env)')
    expect(origins.get('KAFKA_GROUP_ID')).toBe('from-outside (environment)')
  })

  it('ends at once on Ctrl-C while it waits for a broker', async () => {
    // Given a broker that takes connections and says nothing
    const broker = createServer().listen(0, '127.0.0.1')
    onTestFinished(() => void broker.close())
    await once(broker, 'listening')
    const { port } = broker.address() as AddressInfo
    const child = spawn(process.execPath, ['src/cli/main.ts', 'produce', '--count', '1'], {
      env: { PATH: process.env.PATH, ...COMPILED, KAFKA_BROKERS: `127.0.0.1:${port}` },
    })
    await once(broker, 'connection')
    const askedAt = performance.now()
    child.kill('SIGINT')
    const [, signal] = await once(child, 'exit')
    expect(signal).toBe('SIGINT')
    // It would wait for eight seconds.
    expect(performance.now() - askedAt).toBeLessThan(7_000)
  })

  it('gives the settings to a program as NDJSON', async () => {
    const { code, stdout } = await holdfast(['config', '--json'], { DATABASE_URL: 'postgres://u:geheim@h/d' })
    const rows = stdout
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line))
    expect(code).toBe(0)
    expect(rows).toContainEqual(
      expect.objectContaining({ name: 'DATABASE_URL', value: 'postgres://u:***@h/d', origin: 'environment' }),
    )
  })

  it('says in time that the database is away, and what to do', { timeout: 120_000 }, async () => {
    // Given how long a command takes on this machine just now that asks nobody
    const began = performance.now()
    await holdfast(['order', 'get', '../x'])
    const started = performance.now()
    const { code, stdout, stderr } = await holdfast(['order', 'get', 'x'], { DATABASE_URL: 'postgres://127.0.0.1:1/d' })
    expect(code).toBe(1)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^error: .*ECONNREFUSED.*DATABASE_URL/s)
    expect(performance.now() - started - (started - began)).toBeLessThan(9_000)
  })

  it('is quiet when nobody reads on', async () => {
    const child = spawn('sh', ['-c', `"${process.execPath}" src/cli/main.ts config --json | head -c 1`], { env: PLAIN })
    expect(await text(child.stderr)).toBe('')
  })

  it('says so, without a stack, when the disk is full', async () => {
    const child = spawn('sh', ['-c', `"${process.execPath}" src/cli/main.ts config --json >/dev/full`], { env: PLAIN })
    const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'close')])
    expect(stderr).toMatch(/^error: stdout cannot be written: ENOSPC[^\n]*\n$/)
    expect(code).toBe(1)
  })
})
