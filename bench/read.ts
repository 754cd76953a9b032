/**
 * `make bench-read`: how fast a hot `GET /order/UID` is, beside a bare node:http that sends the same bytes under the same
 * headers, Express with an object and `res.json`, and Express with a query for each request.
 * What is measured and how to read it: bench/READ.md.
 */
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Command } from 'commander'
import { parseCount } from '#src/cli/arguments.ts'
import { type GuardedProcess, startGuarded } from '#tools/demo/servers/guarded-process.ts'
import { logTail } from '#tools/demo/servers/machine.ts'
import { startPostgres } from '#tools/demo/servers/postgres.ts'
import { ask, freshDatabase } from './database.ts'
import { describeMachine } from './machine.ts'
import { median } from './measurement.ts'
import { cpuSecondsOfTree, peakMemoryBytes } from './process-figures.ts'
import type { LoadOptions, LoadResult } from './read-load.ts'
import { storeOrders } from './read-orders.ts'
import { type ReadMeasurement, type ReadReport, toReadTable } from './read-report.ts'
import { KINDS } from './read-servers.ts'
import { since } from './servers.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const RESULTS = join(ROOT, 'bench', 'results')
const SERVICE = 'service'
const run = promisify(execFile)
const START_TIMEOUT_MS = 60_000

/** A server under load. */
interface Contender extends AsyncDisposable {
  readonly name: string
  readonly pid: number
  readonly port: number
}

interface Flags {
  readonly orders: number
  readonly rounds: number
  readonly seconds: number
  readonly connections: number
  readonly json?: true
  readonly profile?: true
}

const loadBefore = loadavg()[0] ?? 0
const options = new Command('read')
  .description('Measures how fast orders are read that are held in memory, beside bare node:http and others.')
  .option('--orders <n>', 'orders that are asked for, in turn', parseCount, 2_000)
  .option('--rounds <n>', 'how often; the contenders take turns', parseCount, 3)
  .option('--seconds <n>', 'of each measurement, after one second of warming up', parseCount, 4)
  .option('--connections <n>', 'that ask, each again as soon as it is answered', parseCount, 32)
  .option('--profile', 'write a CPU profile of the service into bench/results (it is slower for that)')
  .option('--json', 'the whole result as JSON on stdout, instead of the table')
  .exitOverride(end => process.exit(end.exitCode === 0 ? 0 : 2))
  .parse(process.argv.slice(2), { from: 'user' })
  .opts<Flags>()
const stamp = new Date().toISOString().replaceAll(/[:.]/g, '-')
mkdirSync(RESULTS, { recursive: true })
const report = await measure()
writeFileSync(join(RESULTS, `read-${stamp}.json`), `${JSON.stringify(report, null, 2)}\n`)
console.log(options.json ? JSON.stringify(report) : toReadTable(report))
process.exitCode = report.measurements.every(({ failed }) => failed === 0) ? 0 : 1

async function measure(): Promise<ReadReport> {
  await using parts = new AsyncDisposableStack()
  const postgres = parts.use(await startPostgres({ log: say }))
  const database = parts.use(await freshDatabase(postgres, 'bench_read', { keep: false }))
  const [version] = await ask<{ server_version: string }>(postgres.url, 'SHOW server_version')
  const machine = describeMachine(version?.server_version ?? 'unknown', loadBefore)
  const uids = await storeOrders(database.url, options.orders)

  const service = parts.use(await startService(database.url))
  const url = `http://127.0.0.1:${service.port}`
  for (const uid of uids) await (await fetch(`${url}/order/${uid}`)).arrayBuffer()
  const contenders: Contender[] = [service]
  for (const kind of KINDS) {
    contenders.push(parts.use(await startOther(kind, [kind === 'query' ? database.url : url, ...uids])))
  }

  const measurements: ReadMeasurement[] = []
  const heapBytes: number[] = []
  for (let round = 1; round <= options.rounds; round++) {
    // The order alternates, so that a machine which becomes faster or slower meanwhile favours no contender.
    for (const contender of round % 2 === 1 ? contenders : contenders.toReversed()) {
      measurements.push({ contender: contender.name, round, ...(await underLoad(contender)) })
    }
    heapBytes.push(await heapOf(url))
  }
  // At half of the maximum rate a request should rarely wait for another.
  const full = measurements.filter(({ contender }) => contender === SERVICE).map(one => one.requests / one.seconds)
  const halves: LoadResult[] = []
  for (let round = 1; round <= options.rounds; round++) {
    halves.push(await load({ port: service.port, uids, rate: median(full) / 2 }))
  }
  return {
    options,
    machine,
    service: SERVICE,
    measurements,
    halves,
    heapBytes,
    peakBytes: peakMemoryBytes(service.pid),
  }

  async function underLoad({ name, pid, port }: Contender): Promise<LoadResult & { cpuSeconds: number | undefined }> {
    const before = cpuSecondsOfTree(pid)
    const result = await load({ port, uids })
    // The warm-up is included, so the cost is divided by all requests sent.
    const cpuSeconds = since(cpuSecondsOfTree(pid), before)
    say(`${name}: ${Math.round(result.requests / result.seconds)} requests/s, p99 ${result.p99Ms} ms`)
    return { ...result, cpuSeconds }
  }
}

/** A process of its own, so that it shares nothing with what it measures but the machine. */
async function load(what: Pick<LoadOptions, 'port' | 'uids' | 'rate'>): Promise<LoadResult> {
  const { connections, seconds } = options
  const given: LoadOptions = { ...what, connections, seconds, warmupSeconds: 1 }
  const { stdout } = await run(process.execPath, ['bench/read-load.ts', JSON.stringify(given)], { cwd: ROOT })
  return JSON.parse(stdout) as LoadResult
}

async function startService(databaseUrl: string): Promise<Contender> {
  const logFile = join(RESULTS, `read-${stamp}-service.log`)
  const profile = ['--cpu-prof', `--cpu-prof-dir=${RESULTS}`, `--cpu-prof-name=read-${stamp}.cpuprofile`]
  // Started as users run it; the comparisons get the same flags of Node.
  const started = await start(join(ROOT, 'bin', 'holdfast'), ['serve', '--roles', 'api'], logFile, {
    DATABASE_URL: databaseUrl,
    HTTP_PORT: '0',
    CACHE_WARM_ORDERS: 'all',
    NODE_OPTIONS: options.profile ? profile.join(' ') : '',
  })
  const port = await untilLogged(started, logFile, text => /"url":"http:\/\/[^"]+:(\d+)"/.exec(text)?.[1])
  await untilLogged(started, logFile, text => (text.includes('"event":"cache_warmed"') ? '1' : undefined))
  return contender(SERVICE, started, port)
}

async function startOther(kind: (typeof KINDS)[number], words: readonly string[]): Promise<Contender> {
  const logFile = join(RESULTS, `read-${stamp}-${kind}.log`)
  const args = ['--max-semi-space-size=4', join(ROOT, 'bench', 'read-servers.ts'), kind, ...words]
  const started = await start(process.execPath, args, logFile, {})
  return contender(kind, started, await untilLogged(started, logFile, text => /^(\d+)\n/.exec(text)?.[1]))
}

function contender(name: string, { pid, stop }: GuardedProcess, port: number): Contender {
  return { name, pid, port, [Symbol.asyncDispose]: () => stop() }
}

async function start(
  command: string,
  args: readonly string[],
  logFile: string,
  env: Readonly<Record<string, string>>,
): Promise<GuardedProcess> {
  writeFileSync(logFile, '')
  return await startGuarded({
    command,
    args,
    // Runs in another folder, because a .env of the checkout holds the developer's settings and would be read from the working directory.
    cwd: RESULTS,
    env: {
      // The shim uses the first suitable Node on the PATH: this one.
      PATH: `${dirname(process.execPath)}:${process.env.PATH ?? ''}`,
      HOME: process.env.HOME ?? '',
      ...env,
    },
    logFile,
    stopSignal: 'SIGTERM',
    graceMs: 10_000,
  })
}

async function untilLogged(
  { exited }: GuardedProcess,
  logFile: string,
  find: (text: string) => string | undefined,
): Promise<number> {
  let ended = false
  void exited.then(() => {
    ended = true
  })
  for (const deadline = performance.now() + START_TIMEOUT_MS; performance.now() < deadline && !ended; await sleep(50)) {
    const found = find(readFileSync(logFile, 'utf8'))
    if (found !== undefined) return Number(found)
  }
  throw new Error(`a server did not start:\n${logTail(logFile)}`)
}

/** What V8 uses, garbage that is not collected yet included. */
async function heapOf(url: string): Promise<number> {
  const page = await (await fetch(`${url}/metrics`)).text()
  return Number(/^nodejs_heap_size_used_bytes (\S+)$/m.exec(page)?.[1])
}

/** Progress is for stderr: stdout is the result. */
function say(line: string): void {
  console.error(`bench: ${line}`)
}
