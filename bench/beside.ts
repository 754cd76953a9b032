/** Programs of others that work off the same topic: `--beside`. */
import { join } from 'node:path'
import { SOURCE_COLUMNS, STORED_AT } from '#src/engine/definition/plan.ts'
import { createTable, wantedTables } from '#src/engine/postgres/wanted-tables.ts'
import { type GuardedProcess, startGuarded } from '#tools/demo/servers/guarded-process.ts'
import { orderPlan } from '../test/support/order-stream.ts'
import type { Backlog, Tally } from './backlog.ts'
import { differences, tallyOf } from './checks.ts'
import { ask } from './database.ts'
import type { Work } from './measurement.ts'
import type { Rival } from './options.ts'
import { cpuSecondsOfTree, peakMemoryOfTree } from './process-figures.ts'
import type { Bench, Contender } from './rounds.ts'
import { type Servers, since } from './servers.ts'
import { type Commits, START_WITHIN_MS, type Watched, watchCommits, watching } from './watching.ts'

const GRACE_MS = 10_000
/** How often memory is looked at, and rows are counted where nothing is committed. */
const COUNT_EVERY_MS = 500
/** Rows that change no more for this long after the last commit are taken for the result. */
const SETTLED_AFTER_MS = 3_000

export function rivalContender(bench: Bench, backlog: Backlog, rival: Rival): Contender {
  return {
    name: rival.name,
    prepare: createRivalTables,
    async work(databaseUrl, run) {
      const logFile = join(bench.options.results, `drain-${bench.stamp}-${run}.log`)
      const span = await timeRival(bench.servers, backlog, { ...rival, databaseUrl, groupId: run, logFile })
      const failures = differences(await tallyOf(databaseUrl), backlog.expected)
      return [{ contender: rival.name, rival: true, ...span, failures }]
    },
  }
}

/** The four tables with their primary keys; nothing of them that only our service needs. */
async function createRivalTables(databaseUrl: string): Promise<void> {
  const ours: readonly string[] = [...SOURCE_COLUMNS, STORED_AT]
  for (const table of wantedTables(orderPlan)) {
    const columns = table.columns.filter(({ name }) => !ours.includes(name))
    await ask(databaseUrl, createTable({ ...table, columns, indexes: [] }).up)
  }
}

interface RivalRun extends Rival {
  readonly databaseUrl: string
  readonly groupId: string
  readonly logFile: string
}

/**
 * The clock starts with its first row, looked for every 50 ms; what it did to get there is not counted. It ends when its group has
 * committed the end of every partition and the rows are complete, or change no more; where it commits nothing, with the rows.
 * @throws Error with the end of its log when it ends early or stands still
 */
async function timeRival(
  servers: Servers,
  backlog: Backlog,
  rival: RivalRun,
): Promise<Omit<Work, 'contender' | 'failures'>> {
  const { topic, dlqTopic, ends } = backlog
  await using commits = await watchCommits(servers, [{ topic, dlqTopic, ends, groupId: rival.groupId }])
  const startedAt = Date.now()
  const program = { process: await startRival(servers, topic, rival), logFile: rival.logFile }
  const { pid } = program.process
  const clock = () => ({ atMs: Date.now(), client: cpuSecondsOfTree(pid), servers: servers.cpu() })
  try {
    const first = async () => ((await hasRows(rival.databaseUrl)) ? clock() : undefined)
    const begin = await watching([program], first, START_WITHIN_MS)
    // From here on: what it started beforehand, such as a compiler, has ended.
    using memory = watchMemory(pid)
    const end = await watchEnd({ program, commits, expected: backlog.expected, databaseUrl: rival.databaseUrl, clock })
    return {
      seconds: (end.atMs - begin.atMs) / 1000,
      orders: backlog.orders,
      secondsFromStart: (end.atMs - startedAt) / 1000,
      cpu: {
        client: since(end.client, begin.client),
        postgres: since(end.servers.postgres, begin.servers.postgres),
        broker: since(end.servers.broker, begin.servers.broker),
      },
      cpuFromStart: end.client,
      peakMemoryBytes: memory.peakBytes(),
    }
  } finally {
    await endGroup(program.process)
  }
}

interface Watch<Time> {
  readonly program: Watched
  readonly commits: Commits
  readonly expected: Tally
  readonly databaseUrl: string
  readonly clock: () => Time
}

/** @returns the time at which its work was done */
async function watchEnd<Time>({ program, commits, expected, databaseUrl, clock }: Watch<Time>): Promise<Time> {
  let countedAt = 0
  const { time, complete } = await watching([program], async progress => {
    const open = await commits.open()
    if (open.length === 0) return { time: clock(), complete: false }
    if (performance.now() - countedAt < COUNT_EVERY_MS || !(await commits.none())) {
      if (countedAt === 0) progress(String(open))
      return undefined
    }
    const tally = await tallyOf(databaseUrl)
    countedAt = performance.now()
    progress(JSON.stringify(tally))
    return differences(tally, expected).length === 0 ? { time: clock(), complete: true } : undefined
  })
  return complete ? time : await watchLateRows({ program, commits, expected, databaseUrl, clock }, time)
}

/** What commits ahead of its writes has rows to come. @returns when they were complete; if they never are, the time of the commit */
async function watchLateRows<Time>({ expected, databaseUrl, clock }: Watch<Time>, committed: Time): Promise<Time> {
  let last = ''
  let changedAt = performance.now()
  for (let late = false; ; late = true) {
    const tally = await tallyOf(databaseUrl)
    if (differences(tally, expected).length === 0) return late ? clock() : committed
    if (JSON.stringify(tally) !== last) changedAt = performance.now()
    last = JSON.stringify(tally)
    if (performance.now() - changedAt > SETTLED_AFTER_MS) return committed
  }
}

async function hasRows(databaseUrl: string): Promise<boolean> {
  const [row] = await ask<{ any: boolean }>(databaseUrl, 'SELECT EXISTS (SELECT FROM orders) AS any')
  return row?.any === true
}

/** The peak of a tree whose processes come and go. */
function watchMemory(pid: number): Disposable & { peakBytes(): number | undefined } {
  let peak: number | undefined
  const look = () => {
    const bytes = peakMemoryOfTree(pid)
    if (bytes !== undefined) peak = Math.max(peak ?? 0, bytes)
  }
  const looking = setInterval(look, COUNT_EVERY_MS)
  return {
    peakBytes() {
      look()
      return peak
    },
    [Symbol.dispose]: () => clearInterval(looking),
  }
}

/** With the environment of the benchmark, and where everything is by the names that our service uses. */
async function startRival({ brokers }: Servers, topic: string, rival: RivalRun): Promise<GuardedProcess> {
  const inherited = Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return await startGuarded({
    command: 'sh',
    args: ['-c', rival.command],
    cwd: process.cwd(),
    env: {
      ...Object.fromEntries(inherited),
      KAFKA_BROKERS: brokers,
      KAFKA_TOPIC: topic,
      KAFKA_GROUP_ID: rival.groupId,
      DATABASE_URL: rival.databaseUrl,
    },
    logFile: rival.logFile,
    stopSignal: 'SIGTERM',
    graceMs: GRACE_MS,
  })
}

/** A guarded process leads a group of its own, to which all belong that it has started: the shell alone would leave them running. */
async function endGroup(program: GuardedProcess): Promise<void> {
  signalGroup(program.pid, 'SIGTERM')
  const killing = setTimeout(() => signalGroup(program.pid, 'SIGKILL'), GRACE_MS)
  await program.stop()
  clearTimeout(killing)
  signalGroup(program.pid, 'SIGKILL')
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch {
    // It has gone.
  }
}
