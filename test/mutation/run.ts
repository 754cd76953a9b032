/**
 * Plants one fault after another in the engine, the settlement and the inbox, and runs the tests that should notice:
 *
 *     node test/mutation/run.ts [--only TEXT] [--json FILE]
 *
 * A fault that no test notices is a survivor. Exits with 1 when a survivor is not explained in mutations.ts, or when a fault cannot be
 * planted any more because the code has changed. Works in copies of the checkout; takes some ten minutes, so it is no part of `make test`.
 */
import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startStack } from '#tools/demo/servers/stack.ts'
import { MUTATIONS, type Mutation } from './mutations.ts'

type Verdict = 'killed' | 'survived' | 'not planted'

interface Result {
  readonly mutation: Mutation
  readonly verdict: Verdict
  /** The test file that noticed it. */
  readonly by?: string
  readonly seconds: number
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const COPIED = [
  'src',
  'test',
  'schemas',
  'migrations',
  'web',
  'scripts',
  'bin',
  'package.json',
  'vitest.config.ts',
  'tsconfig.json',
]
const LINKED = ['node_modules', '.tools']
/** Longer than any of the test files takes: a fault that makes a test hang is noticed, too. */
const TIMEOUT_MS = 180_000
const COPIES = 2

const { values: options } = parseArgs({ options: { only: { type: 'string' }, json: { type: 'string' } } })
const chosen = MUTATIONS.filter(({ file, what }) => `${file} ${what}`.includes(options.only ?? ''))
const results: Result[] = []
await using stack = await startStack({
  kafkaBrokers: process.env.KAFKA_BROKERS,
  databaseUrl: process.env.DATABASE_URL,
  log: line => console.error(line),
})
const waiting = [...chosen]
await Promise.all(Array.from({ length: COPIES }, work))
report()

async function work(): Promise<void> {
  const copy = mkdtempSync(join(tmpdir(), 'holdfast-mutation-'))
  try {
    for (const name of COPIED) cpSync(join(ROOT, name), join(copy, name), { recursive: true })
    for (const name of LINKED) symlinkSync(join(ROOT, name), join(copy, name))
    for (let mutation = waiting.shift(); mutation !== undefined; mutation = waiting.shift()) {
      const result = await judge(copy, mutation)
      results.push(result)
      console.error(
        `${results.length}/${chosen.length} ${result.verdict.padEnd(11)} ${mutation.file}: ${mutation.what}`,
      )
    }
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

async function judge(copy: string, mutation: Mutation): Promise<Result> {
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
    for (const test of mutation.tests) if (!(await passes(copy, test))) return result('killed', test)
    return result('survived')
  } finally {
    writeFileSync(path, source)
  }
}

/** One file at a time, the quickest first: most faults are noticed by the first. */
async function passes(copy: string, test: string): Promise<boolean> {
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs')
  const child = spawn(process.execPath, [vitest, 'run', test, '--bail', '1', '--reporter', 'default'], {
    cwd: copy,
    env: { ...process.env, KAFKA_BROKERS: stack.kafkaBrokers, DATABASE_URL: stack.databaseUrl },
    stdio: 'ignore',
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS)
  const code = await new Promise<number | null>(resolve => child.once('exit', resolve))
  clearTimeout(timer)
  return code === 0
}

function report(): void {
  const of = (verdict: Verdict) => results.filter(result => result.verdict === verdict)
  const survivors = of('survived')
  const unexplained = survivors.filter(({ mutation }) => mutation.survives === undefined)
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
  if (unexplained.length > 0 || of('not planted').length > 0) process.exitCode = 1
}
