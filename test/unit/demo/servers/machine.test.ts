import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { cacheDir, freePorts, logTail, processIdentity } from '#tools/demo/servers/machine.ts'

it('a process keeps its identity as long as it lives, and nobody else has it', async () => {
  const child = spawn('sleep', ['60'])
  const pid = Number(child.pid)
  const identity = processIdentity(pid)
  expect(identity).toBeDefined()
  expect(processIdentity(pid)).toBe(identity)
  expect(processIdentity(process.pid)).not.toBe(identity)
  child.kill()
  await once(child, 'exit')
  expect(processIdentity(pid)).toBeUndefined()
})

it('finds ports that differ from one another, out of reach of outgoing connections', async () => {
  const ports = await freePorts(20)
  expect(new Set(ports).size).toBe(20)
  expect(Math.max(...ports)).toBeLessThan(32_768)
})

it('caches where the XDG rule says, and ignores a relative path there as the rule demands', () => {
  expect(cacheDir({ HOME: '/home/ann' })).toBe('/home/ann/.cache/holdfast')
  expect(cacheDir({ HOME: '/home/ann', XDG_CACHE_HOME: '/var/cache/ann' })).toBe('/var/cache/ann/holdfast')
  expect(cacheDir({ HOME: '/home/ann', XDG_CACHE_HOME: 'cache' })).toBe('/home/ann/.cache/holdfast')
})

it('shows the end of a log, and nothing of one that is not there', () => {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-test-'))
  const file = join(dir, 'server.log')
  writeFileSync(file, `${'x'.repeat(20_000)}\none\ntwo\nthree\n`)
  expect(logTail(file, 2)).toBe('two\nthree')
  expect(logTail(join(dir, 'missing.log'))).toBe('')
  rmSync(dir, { recursive: true })
})
