import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { expect, it, onTestFinished } from 'vitest'
import {
  cpuSecondsOfTree,
  figuresAvailable,
  parseStat,
  peakMemoryBytes,
  peakMemoryOfTree,
} from '../../../bench/process-figures.ts'

it('reads parent and times past a name with brackets and spaces', () => {
  const line = '4711 (a) (b c) S 12 4711 4711 0 -1 4194560 1 2 3 4 150 50 25 5 20 0 1 0 99999 1 1'
  expect(parseStat(line)).toEqual({ parent: 12, own: 2, ended: 0.3 })
})

it('knows nothing of a process that is not there', () => {
  expect(cpuSecondsOfTree(2 ** 30)).toBeUndefined()
  expect(peakMemoryBytes(2 ** 30)).toBeUndefined()
  expect(peakMemoryOfTree(2 ** 30)).toBeUndefined()
})

it.runIf(figuresAvailable)('counts what children used, those that ended included', async () => {
  const busy = 'const end = Date.now() + 300; while (Date.now() < end);'
  const parent = `
    const { spawnSync } = require('node:child_process')
    spawnSync(process.execPath, ['-e', ${JSON.stringify(busy)}])
    console.log('child ended')
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['-e', parent], { stdio: ['ignore', 'pipe', 'ignore'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const pid = Number(child.pid)
  await once(createInterface({ input: child.stdout }), 'line')
  const ofChild = cpuSecondsOfTree(pid) ?? 0
  // Start-up of two Nodes, and the share of those 300 ms that a busy machine gave.
  expect(ofChild).toBeGreaterThan(0.05)
  expect(cpuSecondsOfTree(process.pid)).toBeGreaterThan(ofChild)
  expect(peakMemoryBytes(pid)).toBeGreaterThan(10e6)
})

it.runIf(figuresAvailable)('adds up the memory of a process and its children', async () => {
  const waiting = "console.log('here'); setInterval(() => {}, 1000)"
  const parent = `
    const { spawn } = require('node:child_process')
    spawn(process.execPath, ['-e', ${JSON.stringify(waiting)}], { stdio: 'inherit' })
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['-e', parent], { stdio: ['ignore', 'pipe', 'ignore'], detached: true })
  const pid = Number(child.pid)
  onTestFinished(() => void process.kill(-pid, 'SIGKILL'))
  await once(createInterface({ input: child.stdout }), 'line')
  expect(peakMemoryOfTree(pid) ?? 0).toBeGreaterThan((peakMemoryBytes(pid) ?? 0) + 10e6)
})
