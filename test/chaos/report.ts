import { readFileSync, writeFileSync } from 'node:fs'
import { CLUSTER_FAULT_NAMES, FAULT_NAMES, POOLER_FAULT_NAMES } from '../support/faults/faults.ts'
import type { ChaosResult } from './chaos.ts'
import type { Outcome } from './check.ts'
import { INVARIANTS, type Invariant } from './invariants.ts'

/** Where the figures of runs without a pooler stand, and of those with one, by how it lends sessions. */
function marksOf(pooler: ChaosResult['pooler']): readonly [begin: string, end: string] {
  const what = pooler === undefined ? 'make chaos' : `make chaos through PgBouncer in ${pooler.mode} mode`
  return [
    `<!-- figures of ${what}: begin (written by test/chaos/run.ts --report) -->`,
    `<!-- figures of ${what}: end -->`,
  ]
}

/** Heads of the columns. */
const OUTCOME = {
  records: 'records',
  values: 'values',
  deadLetters: 'dead letters',
  lost: 'lost',
  doubleEffects: 'double effects',
  staleOverwrites: 'stale overwrites',
} as const satisfies Record<keyof Outcome, string>

/** Stops shorter than this cannot be distinguished from the sampling interval. */
const RESOLUTION_MS = 500

/** The figures of one run or of several, as Markdown that also reads well on a terminal. */
export function figuresOf(results: readonly ChaosResult[]): string {
  const sum = (of: (result: ChaosResult) => number) => results.reduce((total, result) => total + of(result), 0)
  const violations = results.flatMap(result =>
    result.violations.map(violation => ({ ...violation, seed: result.seed })),
  )
  const injected = sum(({ faults }) => [...faults.values()].reduce((total, { injected }) => total + injected, 0))
  const pooler = results[0]?.pooler
  const replicas = Math.max(...results.map(result => result.replicas))
  const head = [
    ['seeds', results.map(({ seed }) => seed).join(', ')],
    ['minutes, with start and checks', (sum(({ seconds }) => seconds) / 60).toFixed(1)],
    ['replicas', String(replicas)],
    ...(pooler === undefined ? [] : [['PgBouncer', `${pooler.version}, ${pooler.mode} mode`]]),
    ['brokers', String(Math.max(...results.map(({ brokers }) => brokers)))],
    ['faults injected', String(injected)],
    [
      'most memory of a replica',
      `${Math.round(Math.max(...results.map(({ maxRssBytes }) => maxRssBytes)) / 1024 / 1024)} MB`,
    ],
    [
      'invariants violated',
      violations.length === 0 ? 'none' : [...new Set(violations.map(violationInWords))].join('; '),
    ],
  ]
  return [
    table(['figure', ''], head),
    table(['stream', ...Object.values(OUTCOME)], streamRows(results)),
    table(['fault', 'injected', 'longest stop after it'], faultRows(results)),
    table(
      ['invariant', 'held', 'facts checked'],
      (Object.keys(INVARIANTS) as Invariant[]).map(invariant => [
        `${invariant}: ${INVARIANTS[invariant]}`,
        violations.some(violation => violation.invariant === invariant) ? 'NO' : 'yes',
        String(sum(({ checks }) => checks.get(invariant) ?? 0)),
      ]),
    ),
  ].join('\n\n')
}

function streamRows(results: readonly ChaosResult[]): string[][] {
  const names = new Set(results.flatMap(({ outcomes }) => [...outcomes.keys()]))
  const sum = (name: string, figure: keyof Outcome) =>
    results.reduce((total, { outcomes }) => total + (outcomes.get(name)?.[figure] ?? 0), 0)
  const figures = Object.keys(OUTCOME) as (keyof Outcome)[]
  return [...names].map(name => [name, ...figures.map(figure => String(sum(name, figure)))])
}

function faultRows(results: readonly ChaosResult[]): string[][] {
  const rows = [...FAULT_NAMES, ...POOLER_FAULT_NAMES, ...CLUSTER_FAULT_NAMES].flatMap(name => {
    const figures = results.flatMap(({ faults }) => faults.get(name) ?? [])
    const injected = figures.reduce((total, figure) => total + figure.injected, 0)
    return injected === 0 ? [] : [[name, String(injected), longest(figures.map(({ longestStopMs }) => longestStopMs))]]
  })
  const pairs = results.map(({ longestStopOfPairsMs }) => longestStopOfPairsMs)
  return pairs.some(ms => ms !== undefined) ? [...rows, ['two that overlap', '(above)', longest(pairs)]] : rows
}

function longest(stops: readonly (number | undefined)[]): string {
  const known = stops.filter(ms => ms !== undefined)
  if (known.length === 0) return 'only in pairs'
  const most = Math.max(...known)
  return most < RESOLUTION_MS ? `< ${RESOLUTION_MS / 1000} s` : `${(most / 1000).toFixed(1)} s`
}

function violationInWords({ invariant, seed }: { readonly invariant: Invariant; readonly seed: number }): string {
  return `${invariant} (seed ${seed})`
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, i) => Math.max(title.length, 3, ...rows.map(row => row[i]?.length ?? 0)))
  const line = (cells: readonly string[]) => `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`
  return [line(head), line(widths.map(width => '-'.repeat(width))), ...rows.map(line)].join('\n')
}

/** Puts the figures between the marks of a file. @throws Error when it has none */
export function writeReport(file: string, results: readonly ChaosResult[]): void {
  const text = readFileSync(file, 'utf8')
  const [beginMark, endMark] = marksOf(results[0]?.pooler)
  const [begin, end] = [text.indexOf(beginMark), text.indexOf(endMark)]
  if (begin < 0 || end < begin) throw new Error(`${file} has no place for the figures: ${beginMark} … ${endMark}`)
  const before = text.slice(0, begin + beginMark.length)
  writeFileSync(file, `${before}\n\n${figuresOf(results)}\n\n${text.slice(end)}`)
}
