import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

async function holdfast(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const child = spawn(process.execPath, ['src/cli/main.ts', ...args], {
    env: { PATH: process.env.PATH, NO_COLOR: '1', ...env },
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
    for (const command of ['produce', 'order', 'config']) expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'))
  })

  it.each([[['produce']], [['config']], [['order', 'get']]])('shows examples for %s', async command => {
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
    ['a key for generated orders', ['produce', '--key', 'x', '--count', '1'], /--key is for records of --file/],
    ['a file that is not there', ['produce', '--file', 'no-such-file'], /no such file/],
    ['a uid that cannot be one', ['order', 'get', '../x'], /is no order uid/],
    ['a missing argument', ['order', 'get'], /missing required argument 'uid'/],
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

  it('says in time that the database is away, and what to do', async () => {
    const started = performance.now()
    const { code, stdout, stderr } = await holdfast(['order', 'get', 'x'], { DATABASE_URL: 'postgres://127.0.0.1:1/d' })
    expect(code).toBe(1)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^error: .*ECONNREFUSED.*DATABASE_URL/s)
    expect(performance.now() - started).toBeLessThan(9_000)
  })

  it('is quiet when nobody reads on', async () => {
    const child = spawn('sh', ['-c', `"${process.execPath}" src/cli/main.ts config --json | head -c 1`])
    expect(await text(child.stderr)).toBe('')
  })
})
