import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { addressLines, summaryOf } from '#tools/demo/report.ts'
import { blocksOf, document } from '../support/documents.ts'
import { COMPILED } from '../support/service.ts'

const README = document('README.md')

function block(language: string, holding = ''): string {
  const found = blocksOf(README).find(one => one.language === language && one.text.includes(holding))
  if (found === undefined) throw new Error(`README.md has no block ${language} with ${holding}`)
  return found.text
}

it('is short enough to be read', () => {
  expect(README.text.trimEnd().split('\n').length).toBeLessThanOrEqual(150)
})

it('shows addresses of the demo as the demo prints them', () => {
  const [, ...shown] = block('console', 'Search page')
    .split('\n')
    .filter(line => line !== '…')
  const [url = '', console = '', adminKey = ''] = shown.map(line => line.slice(15))
  expect(console).toBe(`${url}/admin`)
  const printed = addressLines({
    ...{ url, metricsUrl: '', kafka: '', database: '', prometheus: '', traces: undefined, adminKey },
    ...{ keyFile: undefined, logFile: '', exports: undefined, endsByItself: false },
  })
  expect(printed).toEqual(expect.arrayContaining(shown))
})

it('shows the summary of the demo as the demo prints it', () => {
  const [, ...lines] = block('console', 'make demo ARGS').split('\n')
  const cells = new Map(lines.map(line => [line.slice(0, 14).trim(), line.slice(14).trim()]))
  const number = (text = '') => Number(text.replaceAll(',', ''))
  const reasons = (cells.get('dead-lettered') ?? '').split(/, (?=[a-z])/).map(text => text.split(' '))
  const counts = {
    written: number(cells.get('written')),
    superseded: number(cells.get('superseded')),
    stale: number(cells.get('stale')),
    duplicate: number(cells.get('duplicate')),
    dead_lettered: Object.fromEntries(reasons.map(([reason = '', n]) => [reason, number(n)])),
  }
  const [produced, seconds] = [number(cells.get('produced')), number(cells.get('seconds'))]
  // In a terminal without colours, as a document is.
  expect(summaryOf({ counts, produced, seconds, verify: 'ok' }, false)).toBe(lines.join('\n'))
  const deadLettered = Object.values(counts.dead_lettered).reduce((sum, n) => sum + n, 0)
  expect(counts.written + counts.superseded + counts.stale + counts.duplicate + deadLettered).toBe(produced)
})

it('has a stream of twenty lines that works, with the sample that stands above it', async () => {
  const project = realpathSync(mkdtempSync(join(tmpdir(), 'holdfast-readme-')))
  onTestFinished(() => rmSync(project, { recursive: true, force: true }))
  const put = (path: string, text: string) => writeFileSync(join(project, path), text)
  const definition = block('ts', 'defineStream')
  expect(definition.split('\n').length).toBeLessThanOrEqual(20)

  // Given the files that `stream init` makes of the sample
  put('sample.json', block('json'))
  expect(await stream(project, 'init', 'returns', '--from', 'sample.json')).toMatchObject({ code: 0 })
  const made = readFileSync(join(project, 'streams/returns.ts'), 'utf8')

  // When the definition is the one of the README, then it differs in the tables only, and fits schema and sample
  const elsewhere = (text: string) => text.trim().replace(/ {2}tables: \{.*?\n(?= {2}list)/s, '')
  expect(elsewhere(definition)).toBe(elsewhere(made))
  put('streams/returns.ts', definition)
  expect(await stream(project, 'check', 'returns', '--offline')).toMatchObject({
    stdout: expect.stringContaining('fits its schema; GET rebuilds values from the tables'),
  })
  const { stdout: sql } = await stream(project, 'migration', 'returns', '--offline')
  expect(sql).toMatch(/CREATE TABLE public\.returns_lines \([^;]*price +numeric\(12,2\) NOT NULL/)
})

function stream(cwd: string, ...args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { PATH: process.env.PATH, NO_COLOR: '1', ...COMPILED }
  return new Promise(done => {
    execFile(process.execPath, [resolve('src/cli/main.ts'), 'stream', ...args], { cwd, env }, (error, stdout, stderr) =>
      done({ code: Number(error?.code ?? 0), stdout, stderr }),
    )
  })
}
