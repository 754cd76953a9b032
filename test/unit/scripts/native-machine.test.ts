import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { cacheDir as cacheDirOfServers } from '#tools/demo/servers/machine.ts'
import { abiKey, cacheDir, headersOf, missingPackages, nodeGyp } from '../../../scripts/native-machine.ts'

let scratch: string
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'holdfast-test-'))
})
afterEach(() => rmSync(scratch, { recursive: true, force: true }))

it('shares its cache with the embedded servers', () => {
  for (const env of [
    { HOME: '/home/ann' },
    { HOME: '/h', XDG_CACHE_HOME: '/x' },
    { HOME: '/h', XDG_CACHE_HOME: 'x' },
  ]) {
    expect(cacheDir(env)).toBe(cacheDirOfServers(env))
  }
})

it('keeps builds of different systems and Node versions apart', () => {
  expect(abiKey()).toMatch(/^(linux-\w+-(glibc|musl)|darwin-\w+)-abi\d+$/)
  expect(abiKey()).toContain(`abi${process.versions.modules}`)
})

describe('headers', () => {
  it('are those beside the running Node, also behind a link', () => {
    place('node/include/node/node_version.h')
    place('node/bin/node')
    symlinkSync(join(scratch, 'node/bin/node'), join(scratch, 'link'))
    expect(headersOf(join(scratch, 'link'))).toBe(join(scratch, 'node'))
  })

  it('are left to node-gyp when this Node came without', () => {
    place('node/bin/node')
    expect(headersOf(join(scratch, 'node/bin/node'))).toBeUndefined()
  })
})

describe('node-gyp', () => {
  it('is the one that npm names inside its scripts', () => {
    const gyp = place('npm/node_modules/node-gyp/bin/node-gyp.js')
    expect(nodeGyp({ npm_config_node_gyp: gyp })).toBe(gyp)
    expect(nodeGyp({ npm_execpath: join(scratch, 'npm/bin/npm-cli.js') })).toBe(gyp)
  })

  it('else the one of the npm on the PATH', () => {
    const gyp = place('lib/npm/node_modules/node-gyp/bin/node-gyp.js')
    place('lib/npm/bin/npm-cli.js')
    mkdirSync(join(scratch, 'bin'))
    symlinkSync(join(scratch, 'lib/npm/bin/npm-cli.js'), join(scratch, 'bin/npm'))
    expect(nodeGyp({ PATH: `/nowhere:${join(scratch, 'bin')}` })).toBe(gyp)
  })
})

describe('system packages', () => {
  it('are not asked for when all are there', () => {
    expect(missingPackages(() => true)).toBeUndefined()
  })

  it('are named, each thing with its package, when they are missing', () => {
    const missing = missingPackages(need => need.what !== 'zstd' && need.what !== 'a C++ compiler')
    expect(missing?.what).toEqual(['a C++ compiler', 'zstd'])
    expect(missing?.command).toMatch(/zstd/)
    expect(missing?.command).not.toMatch(/ssl/)
  })
})

function place(path: string): string {
  const file = join(scratch, path)
  mkdirSync(join(file, '..'), { recursive: true })
  writeFileSync(file, '')
  return file
}
