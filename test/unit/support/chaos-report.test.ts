import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import type { ChaosResult } from '../../chaos/chaos.ts'
import { figuresOf, writeReport } from '../../chaos/report.ts'

const result: ChaosResult = {
  seed: 7,
  seconds: 90,
  replicas: 3,
  brokers: 1,
  faults: new Map([['worker-kill', { injected: 2, longestStopMs: 6_240 }]]),
  longestStopOfPairsMs: undefined,
  outcomes: new Map([
    ['orders', { records: 100, values: 70, deadLetters: 3, lost: 0, doubleEffects: 0, staleOverwrites: 0 }],
    ['returns', { records: 30, values: 20, deadLetters: 1, lost: 0, doubleEffects: 0, staleOverwrites: 1 }],
  ]),
  maxRssBytes: 200 * 1024 * 1024,
  checks: new Map([['I1', 100]]),
  violations: [],
}

it('adds up the figures of several seeds, and takes the longest stop', () => {
  const other: ChaosResult = {
    ...result,
    seed: 8,
    faults: new Map([['worker-kill', { injected: 1, longestStopMs: 900 }]]),
  }
  const text = figuresOf([result, other])
  expect(text).toMatch(/\| seeds +\| 7, 8 +\|/)
  expect(text).toMatch(/\| orders +\| 200 +\| 140 +\| 6 +\| 0 +\| 0 +\| 0 +\|/)
  expect(text).toMatch(/\| returns +\| 60 +\| 40 +\| 2 +\| 0 +\| 0 +\| 2 +\|/)
  expect(text).toMatch(/\| worker-kill +\| 3 +\| 6\.2 s +\|/)
  expect(text).toMatch(/\| I1: .*\| yes +\| 200 +\|/)
  expect(text).toMatch(/\| invariants violated +\| none +\|/)
})

it('names a violated invariant with its seed', () => {
  const text = figuresOf([{ ...result, violations: ['ahead', 'again'].map(what => ({ invariant: 'I6', what })) }])
  expect(text).toMatch(/\| invariants violated +\| I6 \(seed 7\) +\|/)
  expect(text).toMatch(/\| I6: .*\| NO /)
})

it('replaces the figures between the marks, and nothing else', () => {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-report-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const file = join(dir, 'guarantees.md')
  writeFileSync(file, readFileSync(new URL('../../../docs/guarantees.md', import.meta.url)))
  const [before, , after] = readFileSync(file, 'utf8').split(/<!-- figures of make chaos: .*? -->/)
  writeReport(file, [result])
  writeReport(file, [result])
  expect(readFileSync(file, 'utf8').split(/<!-- figures of make chaos: .*? -->/)).toEqual([
    before,
    `\n\n${figuresOf([result])}\n\n`,
    after,
  ])
  writeFileSync(file, 'no marks')
  expect(() => writeReport(file, [result])).toThrow('no place for the figures')
})
