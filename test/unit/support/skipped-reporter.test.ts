import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, onTestFinished, vi } from 'vitest'
import type { TestModule, Vitest } from 'vitest/node'
import SkippedReporter from '../../support/skipped-reporter.ts'

const module = {
  relativeModuleId: 'test/a.test.ts',
  children: { allTests: (state: string) => (state === 'skipped' ? [{ fullName: 'disk > is full' }] : []) },
} as unknown as TestModule

let file: string
beforeEach(() => {
  const dir = mkdtempSync(join(tmpdir(), 'skipped-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  file = join(dir, 'not-run')
  vi.stubEnv('HOLDFAST_NOT_RUN', file)
})
// By itself that would be undone before the next test only, which may belong to another file.
afterEach(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
})

function reportedBy(config: Partial<Vitest['config']>) {
  const log = vi.spyOn(console, 'log').mockReturnValue()
  const reporter = new SkippedReporter()
  reporter.onInit({ config } as Vitest)
  reporter.onTestRunEnd([module, module])
  return log.mock.calls.flat()
}

it('names each test that was skipped, however that came, and leaves the names to the script that prints the result', () => {
  const name = 'test/a.test.ts: disk > is full'
  expect(reportedBy({})).toEqual([`NOT RUN HERE  ${name}`, `NOT RUN HERE  ${name}`])
  expect(readFileSync(file, 'utf8')).toBe(`${name}\n${name}\n`)
})

it('is silent about those that were left out on purpose, by a pattern of names', () => {
  expect(reportedBy({ testNamePattern: /other/ })).toEqual([])
})
