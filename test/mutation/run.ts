/**
 * Plants one fault after another in the engine, the settlement and the inbox, and runs the tests that should notice:
 *
 *     make mutation ARGS="--only engine/run/ --json FILE"
 *
 * A fault that no test notices is a survivor. First, each of the tests has to pass without a fault: a test that fails anyway notices
 * nothing. Exits with 1 when it does not, when a survivor is not explained in the list of faults, or when a fault cannot be planted any
 * more because the code has changed. Works in copies of the checkout; takes some twenty minutes, so it is no part of `make test`.
 *
 * StrykerJS 10.1 is not used. It would run with these versions of vitest and Node, but asks TypeScript's JavaScript API, which 7.0 does
 * not have, for its configuration; and what matters most here it cannot change: the SQL, which is text to it.
 */
import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startStack } from '#tools/demo/servers/stack.ts'
import type { Mutation } from './mutation.ts'
import { MUTATIONS } from './mutations.ts'

type Verdict = 'killed' | 'survived' | 'not planted'

interface Result {
  readonly mutation: Mutation
  readonly verdict: Verdict
  /** The test that noticed it, behind its file. */
  readonly by?: string
  readonly seconds: number
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
/** What tests read. */
const COPIED = ['src', 'test', 'tools', 'schemas', 'migrations', 'web', 'scripts', 'bin', 'data', 'docs']
const COPIED_FILES = ['package.json', 'vitest.config.ts', 'tsconfig.json']
const LINKED = ['node_modules', '.tools']
/** Longer than any of the test files takes: a fault that makes a test hang is noticed, too. */
const TIMEOUT_MS = 180_000
const COPIES = 2
/** Of the simulation: a fault that matters shows in the first of them, or in none. */
const SCHEDULES = '150'

const { values: options } = parseArgs({ options: { only: { type: 'string' }, json: { type: 'string' } } })
const chosen = MUTATIONS.filter(({ file, what, tests }) => `${file} ${what} ${tests}`.includes(options.only ?? ''))
const tests = [...new Set(chosen.flatMap(mutation => mutation.tests))].sort()
const results: Result[] = []
const broken: string[] = []
await using stack = tests.some(test => !test.startsWith('test/unit/'))
  ? await startStack({
      kafkaBrokers: process.env.KAFKA_BROKERS,
      databaseUrl: process.env.DATABASE_URL,
      log: line => console.error(line),
    })
  : undefined
const unchecked = [...tests]
const waiting = [...chosen]
await Promise.all(Array.from({ length: COPIES }, work))
report()

async function work(): Promise<void> {
  const copy = mkdtempSync(join(tmpdir(), 'holdfast-mutation-'))
  try {
    for (const name of [...COPIED, ...COPIED_FILES]) cpSync(join(ROOT, name), join(copy, name), { recursive: true })
    for (const name of LINKED) symlinkSync(join(ROOT, name), join(copy, name))
    for (let test = unchecked.shift(); test !== undefined; test = unchecked.shift()) {
      const failed = await failureOf(copy, test)
      if (failed !== undefined) broken.push(failed)
    }
    for (let mutation = waiting.shift(); mutation !== undefined; mutation = waiting.shift()) {
      const result = await plant(copy, mutation)
      results.push(result)
      console.error(
        `${results.length}/${chosen.length} ${result.verdict.padEnd(11)} ${mutation.file}: ${mutation.what}`,
      )
    }
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

async function plant(copy: string, mutation: Mutation): Promise<Result> {
  const path = join(copy, mutation.file)
  const source = readFileSync(path, 'utf8')
  const started = performance.now()
  const result = (verdict: Verdict, by?: string): Result => ({
    ...{ mutation, verdict, seconds: Math.round((performance.now() - started) / 1000) },
    ...(by === undefined ? {} : { by }),
  })
  if (source.split(mutation.find).length !== 2) return result('not planted')
  writeFileSync(
    path,
    source.replace(mutation.find, () => mutation.replace),
  )
  try {
    for (const test of mutation.tests) {
      const failed = await failureOf(copy, test)
      if (failed !== undefined) return result('killed', failed)
    }
    return result('survived')
  } finally {
    writeFileSync(path, source)
  }
}

/** One file at a time, the quickest first: most faults are noticed by the first. @returns which test failed; `undefined` when none did */
async function failureOf(copy: string, test: string): Promise<string | undefined> {
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs')
  const servers = stack === undefined ? {} : { KAFKA_BROKERS: stack.kafkaBrokers, DATABASE_URL: stack.databaseUrl }
  const child = spawn(process.execPath, [vitest, 'run', test, '--bail', '1', '--reporter', 'default'], {
    cwd: copy,
    env: { ...process.env, ...servers, SIM_SCHEDULES: SCHEDULES, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own: a test that loops ends only with the processes that vitest has started.
    detached: true,
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk))
  let late = false
  const timer = setTimeout(() => {
    late = true
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  }, TIMEOUT_MS)
  const code = await new Promise<number | null>(resolve => child.once('close', resolve))
  clearTimeout(timer)
  if (code === 0) return undefined
  return late
    ? `${test}: did not end`
    : (/^ FAIL {2}(?:\S+ )?(test\/.*)$/m.exec(output)?.[1] ?? `${test}: ${output.slice(-500)}`)
}

function report(): void {
  const of = (verdict: Verdict) => results.filter(result => result.verdict === verdict)
  const survivors = of('survived')
  const unexplained = survivors.filter(({ mutation }) => mutation.survives === undefined)
  for (const test of broken) console.log(`fails without a fault: ${test}`)
  for (const { mutation } of of('not planted')) console.log(`not planted: ${mutation.file}: ${mutation.what}`)
  for (const { mutation } of survivors) {
    console.log(`survived: ${mutation.file}: ${mutation.what}: ${mutation.survives ?? 'no reason is given'}`)
  }
  for (const { mutation } of of('killed')) {
    if (mutation.survives !== undefined)
      console.log(`killed, though a reason to survive is given: ${mutation.file}: ${mutation.what}`)
  }
  console.log(`${of('killed').length} of ${results.length} planted faults were noticed`)
  if (options.json !== undefined) writeFileSync(options.json, JSON.stringify(results, null, 2))
  if (broken.length > 0 || unexplained.length > 0 || of('not planted').length > 0) process.exitCode = 1
}
