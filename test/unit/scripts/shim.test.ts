import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'

let checkout: string

beforeEach(() => {
  checkout = realpathSync(mkdtempSync(join(tmpdir(), 'holdfast-test-')))
  mkdirSync(join(checkout, 'bin'))
  copyFileSync(new URL('../../../bin/holdfast', import.meta.url), join(checkout, 'bin/holdfast'))
})
afterEach(() => rmSync(checkout, { recursive: true, force: true }))

it('says what to do in a checkout that is not set up', () => {
  node('path', 'v24.21.0')
  const { status, stderr } = holdfast()
  expect(status).toBe(1)
  expect(stderr).toBe(`holdfast: this checkout is not set up yet. Run "make setup" in ${checkout}.\n`)
})

it.each(['v20.20.2', 'v24.17.9', 'v25.0.0', 'nothing'])('does not start under Node %s', version => {
  setUp()
  node('path', version)
  const { status, stderr } = holdfast()
  expect(status).toBe(1)
  expect(stderr).toContain('Node 24.18 or newer of the 24 line was not found')
})

it('names what to install where it was installed as a package: there is no set-up that brings a Node', () => {
  mkdirSync(join(checkout, 'dist/cli'), { recursive: true })
  writeFileSync(join(checkout, 'dist/cli/main.js'), '')
  node('path', 'v20.20.2')
  expect(holdfast().stderr).toBe(
    'holdfast: Node 24.18 or newer of the 24 line was not found. Install it, for example from https://nodejs.org.\n',
  )
})

it('prefers the Node on the PATH, and falls back on the one that set-up brought', () => {
  setUp()
  node('.tools/node_modules/.bin', 'v24.21.0')
  node('path', 'v24.18.0')
  expect(holdfast().stdout).toContain(join(checkout, 'path/node'))
  node('path', 'v20.20.2')
  expect(holdfast().stdout).toContain(join(checkout, '.tools/node_modules/.bin/node'))
})

it('hands arguments on as they are, and the exit code back, also through a link', () => {
  setUp()
  node('path', 'v24.21.0')
  symlinkSync('bin/holdfast', join(checkout, 'link'))
  const { stdout, status } = holdfast(['dlq', 'ls', 'text:"two words"'], 'link')
  expect(stdout.split('\n').slice(1)).toEqual([join(checkout, 'src/cli/main.ts'), 'dlq', 'ls', 'text:"two words"', ''])
  expect(status).toBe(42)
})

it('runs JavaScript where it was installed as a package, whose dependencies lie elsewhere', () => {
  node('path', 'v24.21.0')
  mkdirSync(join(checkout, 'dist/cli'), { recursive: true })
  writeFileSync(join(checkout, 'dist/cli/main.js'), '')
  const { stdout, status } = holdfast(['lag'])
  expect(stdout.split('\n').slice(1)).toEqual([join(checkout, 'dist/cli/main.js'), 'lag', ''])
  expect(status).toBe(42)
})

it('reads .env where there is one', () => {
  setUp()
  node('path', 'v24.21.0')
  expect(holdfast().stdout).not.toContain('.env')
  writeFileSync(join(checkout, '.env'), '')
  expect(holdfast().stdout).toContain('--env-file=.env')
})

it('bounds the room for young objects, unless NODE_OPTIONS asks for another', () => {
  setUp()
  node('path', 'v24.21.0', 'printf %s "$NODE_OPTIONS"')
  expect(holdfast().stdout).toBe('--max-semi-space-size=4')
  const { stdout } = holdfast([], 'bin/holdfast', { NODE_OPTIONS: '--max-semi-space-size=32' })
  // Node takes the last of a repeated flag.
  expect(stdout).toBe('--max-semi-space-size=4 --max-semi-space-size=32')
})

it('bounds the arenas of malloc, and keeps sources without their types, unless the environment says otherwise', () => {
  setUp()
  node('path', 'v24.21.0', 'printf %s "$MALLOC_ARENA_MAX $NODE_COMPILE_CACHE"')
  expect(holdfast().stdout).toBe(`2 ${join(checkout, 'node_modules/.cache/compiled')}`)
  expect(holdfast([], 'bin/holdfast', { MALLOC_ARENA_MAX: '8', NODE_COMPILE_CACHE: '' }).stdout).toBe('8 ')
})

it('keeps no compiled code where it was installed as a package, which has no types', () => {
  node('path', 'v24.21.0', 'printf %s "$NODE_COMPILE_CACHE"')
  mkdirSync(join(checkout, 'dist/cli'), { recursive: true })
  writeFileSync(join(checkout, 'dist/cli/main.js'), '')
  expect(holdfast().stdout).toBe('')
})

function setUp(): void {
  mkdirSync(join(checkout, 'node_modules/pg'), { recursive: true })
}

/** A stand-in that prints its own path and arguments, unless told what to do, and exits with 42. */
function node(dir: string, version: string, does = 'printf \'%s\\n\' "$0" "$@"'): void {
  const file = join(checkout, dir, 'node')
  mkdirSync(join(checkout, dir), { recursive: true })
  writeFileSync(file, `#!/bin/sh\n[ "$1" = --version ] && echo ${version} && exit\n${does}\nexit 42\n`)
  chmodSync(file, 0o755)
}

function holdfast(args: string[] = [], command = 'bin/holdfast', variables: Readonly<Record<string, string>> = {}) {
  // The usual programs, but no Node of the machine.
  const tools = join(checkout, 'usual')
  mkdirSync(tools, { recursive: true })
  for (const tool of ['dirname', 'readlink']) {
    const real = spawnSync('sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' }).stdout.trim()
    rmSync(join(tools, tool), { force: true })
    symlinkSync(real, join(tools, tool))
  }
  const env = { PATH: `${join(checkout, 'path')}:${tools}`, ...variables }
  return spawnSync('/bin/sh', [join(checkout, command), ...args], { cwd: checkout, env, encoding: 'utf8' })
}
