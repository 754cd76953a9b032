import { setTimeout as wait } from 'node:timers/promises'
import { startInspector } from '#src/engine/kafka/inspector.ts'
import type { Stream } from '#src/engine/stream.ts'
import { type FaultKind, type FaultName, faultKind, faultNames } from '../support/faults/faults.ts'
import { type PlannedFault, planFaults, type Step } from '../support/faults/plan.ts'
import type { Replica } from '../support/faults/replica.ts'
import { type BrokerCount, type PoolerOptions, type Security, startWorld, type World } from '../support/faults/world.ts'
import { checkOutcome, type Outcome } from './check.ts'
import { recordHistory } from './history.ts'
import { createVerdicts, INVARIANTS, type Invariant, type Verdicts, type Violation } from './invariants.ts'
import { type Load, startLoad } from './load.ts'
import { type Sampler, startSampler } from './sampler.ts'
import { PARTITIONS, underChaos } from './streams.ts'

export interface ChaosOptions {
  readonly seed: number
  readonly minutes: number
  readonly replicas: number
  readonly brokers: BrokerCount
  /** Records of the first stream in a second; the others have a part of it each. */
  readonly rate: number
  /** Only these faults; all of them by default. */
  readonly only?: readonly FaultName[] | undefined
  /** Between the service and the database; it is a target of faults as well. */
  readonly pooler?: PoolerOptions | undefined
  /** How the service logs in to Kafka. */
  readonly security?: Security | undefined
  /** Called with a line for each event. */
  readonly say: (line: string) => void
  /** Ends it early: everything is taken down, and it rejects. */
  readonly signal?: AbortSignal
}

export interface FaultFigures {
  readonly injected: number
  /** The longest stop after a fault that was injected alone; `undefined` when none was. */
  readonly longestStopMs: number | undefined
}

export interface ChaosResult {
  readonly seed: number
  readonly seconds: number
  readonly replicas: number
  /** Which pooler was in between, and how it lent sessions. */
  readonly pooler?: { readonly version: string; readonly mode: PoolerOptions['mode'] } | undefined
  readonly brokers: BrokerCount
  readonly faults: ReadonlyMap<FaultName, FaultFigures>
  /** After two faults at a time. */
  readonly longestStopOfPairsMs: number | undefined
  /** By stream. */
  readonly outcomes: ReadonlyMap<string, Outcome>
  readonly maxRssBytes: number
  /** Single facts held against each invariant. */
  readonly checks: ReadonlyMap<Invariant, number>
  readonly violations: readonly Violation[]
}

const SHUTDOWN_TIMEOUT_MS = 15_000
/** How long any partition may stand still after a fault. */
const RECOVERY_TIMEOUT_MS = 45_000
/** How long it may take after the last fault until there is no lag and every replica is ready. */
const QUIESCE_TIMEOUT_MS = 60_000
/** How long it may take until every process reports that a stream has halted: longer than a fault that comes at the same time. */
const HALT_TIMEOUT_MS = 60_000
/** What the sampler sees comes up to so much later than it was. */
const SAMPLING_LAG_MS = 500

/**
 * One run: a load on real servers and several replicas, faults as the seed has it, and everything checked, while it goes on
 * and in the end. The plan is carried out whole, so a slow machine takes longer than `minutes`.
 */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { seed, say } = options
  const startedAt = performance.now()
  const clock = () => `${((performance.now() - startedAt) / 1000).toFixed(1).padStart(6)} s`
  const tell = (line: string) => say(`${clock()}  ${line}`)
  const verdicts = createVerdicts(({ invariant, what }) => tell(`VIOLATED ${invariant}: ${what} (seed ${seed})`))
  const names = faultNames({ brokers: options.brokers, pooler: options.pooler !== undefined })
  const plan = planFaults({ ...options, only: options.only?.filter(name => names.includes(name)) ?? names })
  say(`seed ${seed}: ${plan.flatMap(({ faults }) => faults).length} faults in ${plan.length} steps`)
  for (const step of plan)
    say(`  ${(step.atMs / 1000).toFixed(1).padStart(6)} s  ${step.faults.map(inWords).join(' + ')}`)

  await using world = await startWorld({
    brokers: options.brokers,
    replicas: options.replicas,
    security: options.security,
    partitions: PARTITIONS,
    shutdownTimeoutMs: SHUTDOWN_TIMEOUT_MS,
    pooler: options.pooler,
    log: tell,
    onDeath: ({ slot }, code, lines) => {
      verdicts.violated('I12', `replica ${slot} ended with ${code}, unasked; it said:\n${lines.join('\n')}`)
    },
  })
  tell(`servers are up; the replicas' logs are in ${world.logDir}`)
  await recordHistory(world, world.streams)
  await Promise.all(world.replicas.map(replica => replica.start()))
  await until(() => allReady(world), 'the replicas being ready', QUIESCE_TIMEOUT_MS, options.signal)
  const sampler = await startSampler(world, PARTITIONS, verdicts)
  const loads = await Promise.all(world.streams.map(stream => startLoadOf(stream, world, options)))
  await until(() => sampler.steadySince(0) !== undefined, 'every partition moving', 60_000, options.signal)
  const streams = world.streams.map(({ name }) => name).join(' and ')
  tell(`${options.replicas} replicas at work on ${streams} under ${options.rate} records a second`)

  const stops = createStops()
  for (const step of plan) {
    await reviveTheDead(world.replicas)
    await carryOut(step, { world, sampler, verdicts, stops, tell, signal: options.signal })
  }
  await reviveTheDead(world.replicas)
  await Promise.all(loads.map(({ load }) => load.stop()))
  for (const { stream, load } of loads)
    tell(`the last fault is over; ${load.sent.length} ${stream.name} were sent, ${load.unknown} with unknown outcome`)
  await quiesce(world, verdicts, options.signal)
  await sampler.stop()
  await Promise.all(world.replicas.map(replica => leaves(replica, verdicts)))
  tell('everything is at rest: checking what there is')
  const outcomes = new Map<string, Outcome>()
  for (const { stream, load } of loads) outcomes.set(stream.name, await checkOutcome(world, stream, load, verdicts))
  const invariants = Object.keys(INVARIANTS) as Invariant[]
  return {
    seed,
    seconds: (performance.now() - startedAt) / 1000,
    replicas: options.replicas,
    pooler: options.pooler && { version: options.pooler.program.version, mode: options.pooler.mode },
    brokers: options.brokers,
    faults: stops.figures(),
    longestStopOfPairsMs: stops.ofPairs(),
    outcomes,
    maxRssBytes: sampler.maxRssBytes,
    checks: new Map(invariants.map(invariant => [invariant, verdicts.checks(invariant)])),
    violations: verdicts.violations,
  }
}

interface LoadOfStream {
  readonly stream: Stream
  readonly load: Load
}

async function startLoadOf(stream: Stream, { config }: World, { seed, rate }: ChaosOptions): Promise<LoadOfStream> {
  const ownRate = rate * underChaos(stream.name).rate
  return { stream, load: await startLoad({ connection: config.kafka, stream, seed, rate: ownRate }) }
}

interface Running {
  readonly world: World
  readonly sampler: Sampler
  readonly verdicts: Verdicts
  readonly stops: Stops
  readonly tell: (line: string) => void
  readonly signal: AbortSignal | undefined
}

async function carryOut(step: Step, running: Running): Promise<void> {
  const { sampler, verdicts, stops, tell } = running
  const injectedAt = performance.now()
  await Promise.all(step.faults.map(fault => doOne(fault, running)))
  const healedAt = performance.now()
  const from = Math.max(healedAt, injectedAt + SAMPLING_LAG_MS)
  const what = step.faults.map(inWords).join(' + ')
  const rest = wait(step.restMs, undefined, { signal: running.signal }).catch(() => {})
  try {
    await until(() => sampler.steadySince(from) !== undefined, 'movement', RECOVERY_TIMEOUT_MS, running.signal)
  } catch (error) {
    running.signal?.throwIfAborted()
    verdicts.violated('I12', `some partition stands still ${RECOVERY_TIMEOUT_MS} ms after ${what} (${String(error)})`)
  }
  const movedAt = sampler.steadySince(from) ?? performance.now()
  const [only] = step.faults
  const stopMs =
    step.faults.length === 1 && only !== undefined && faultKind(only.name).stopCountsFrom === 'inject'
      ? sampler.longestGap(injectedAt, movedAt)
      : movedAt - healedAt
  stops.note(step, stopMs)
  tell(`moving again ${(stopMs / 1000).toFixed(1)} s after ${step.faults.map(({ name }) => name).join(' + ')}`)
  await rest
}

async function doOne(planned: PlannedFault, running: Running): Promise<void> {
  const { world, verdicts, tell, signal } = running
  const replica = world.replicas[planned.worker]
  if (replica === undefined) throw new RangeError(`no replica ${planned.worker}`)
  const kind = faultKind(planned.name)
  const fault = kind.make(world, replica, what => verdicts.violated('I12', what))
  await wait(planned.delayMs, undefined, { signal })
  tell(`inject  ${inWords(planned)}`)
  try {
    await fault.inject()
    await wait(planned.durationMs, undefined, { signal })
    if (kind.halts !== undefined) await haltsAlone(kind.halts, kind, running)
  } finally {
    if (!signal?.aborted) await fault.heal()
  }
  tell(`healed  ${planned.name}`)
}

/** Every process reports that this stream has halted, and the others continue. */
async function haltsAlone(halted: string, { name }: FaultKind, running: Running): Promise<void> {
  const { world, sampler, verdicts, tell, signal } = running
  const others = world.streams.map(stream => stream.name).filter(other => other !== halted)
  try {
    await until(() => allNameHalted(world, halted), 'halt', HALT_TIMEOUT_MS, signal)
    verdicts.checked('I13', world.replicas.length)
    tell(`${halted} has halted in every process`)
    const from = performance.now()
    await until(() => sampler.steadySince(from, others) !== undefined, 'movement', RECOVERY_TIMEOUT_MS, signal)
    verdicts.checked('I13', others.length)
  } catch (error) {
    signal?.throwIfAborted()
    const ready = await Promise.all(world.replicas.map(readiness))
    verdicts.violated('I13', `under ${name} of ${halted}: ${String(error)}; ${ready.join('; ')}`)
  }
}

/** Whether the readiness of each replica that must answer, and of one at least, says that the stream has halted. */
async function allNameHalted({ replicas }: World, stream: string): Promise<boolean> {
  const running = replicas.filter(({ state }) => state === 'running')
  const named = await Promise.all(
    running.map(async ({ url }) => {
      if (url === undefined) return false
      const checks = await failingChecks(url)
      return checks.some(({ name, reason }) => name === `stream:${stream}` && reason.startsWith('halted'))
    }),
  )
  return named.length > 0 && named.every(Boolean)
}

async function failingChecks(url: string): Promise<{ readonly name: string; readonly reason: string }[]> {
  const response = await fetch(`${url}/readyz?verbose`, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined)
  const body = (await response?.json().catch(() => undefined)) as
    | { readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly reason?: string }[] }
    | undefined
  return (body?.checks ?? []).flatMap(({ name, ok, reason = '' }) => (ok ? [] : [{ name, reason }]))
}

function inWords({ name, worker, durationMs }: PlannedFault): string {
  const where = faultKind(name).target === 'worker' ? ` of replica ${worker}` : ''
  return `${name}${where} for ${(durationMs / 1000).toFixed(1)} s`
}

/** One that died unasked is a finding already; the run needs its crew all the same. */
async function reviveTheDead(replicas: readonly Replica[]): Promise<void> {
  for (const replica of replicas) if (replica.state === 'gone') await replica.start()
}

async function leaves(replica: Replica, verdicts: Verdicts): Promise<void> {
  const { code } = await replica.terminate()
  verdicts.checked('I12')
  if (code !== 0) verdicts.violated('I12', `replica ${replica.slot} ended with ${code} after SIGTERM at rest`)
}

/** No lag: of each stream both progress and Kafka's offset are at the end of every partition; and every process is ready. */
async function quiesce(world: World, verdicts: Verdicts, signal?: AbortSignal): Promise<void> {
  let lag: string[] = ['not known']
  async function noLag(): Promise<boolean> {
    lag = (await Promise.all(world.streams.map(stream => behind(stream, world)))).flat()
    return lag.length === 0
  }
  try {
    await until(async () => (await noLag()) && (await allReady(world)), 'rest', QUIESCE_TIMEOUT_MS, signal)
    verdicts.checked('I12', world.streams.length)
    verdicts.checked('I13', world.replicas.length)
  } catch (error) {
    signal?.throwIfAborted()
    const ready = await Promise.all(world.replicas.map(readiness))
    const where = lag.join('; ') || 'none'
    verdicts.violated('I12', `${QUIESCE_TIMEOUT_MS} ms after the last fault: lag ${where}; ${ready.join('; ')}`)
    if (!(error instanceof TimedOut)) throw error
  }
}

/** The partitions of the stream that are not settled and committed to their end, in words. */
async function behind({ topic, groupId }: Stream, { config, query }: World): Promise<string[]> {
  await using inspector = await startInspector({ connection: config.kafka, groupId })
  const partitions = await inspector.partitions(topic)
  const rows = await query<{ partition: number; next_offset: string }>(
    'SELECT partition, next_offset FROM holdfast.stream_progress WHERE topic = $1 AND group_id = $2',
    [topic, groupId],
  )
  const settled = new Map(rows.map(row => [row.partition, BigInt(row.next_offset)]))
  const committed = new Map((await inspector.committed(partitions)).map(at => [at.partition, at.nextOffset]))
  const found: string[] = []
  for (const at of partitions) {
    const { high } = await inspector.watermarks(at)
    const [progress = 0n, commit = 0n] = [settled.get(at.partition), committed.get(at.partition)]
    if (progress !== high || commit !== high)
      found.push(`${topic}-${at.partition}: end ${high}, progress ${progress}, committed ${commit}`)
  }
  return found
}

async function readiness({ slot, url }: Replica): Promise<string> {
  if (url === undefined) return `replica ${slot} does not listen`
  const response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined)
  return `replica ${slot}: /readyz ${response === undefined ? 'is silent' : await response.text()}`
}

async function allReady({ replicas }: World): Promise<boolean> {
  const answers = await Promise.all(
    replicas.map(async ({ url }) => {
      if (url === undefined) return false
      const response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined)
      return response?.status === 200
    }),
  )
  return answers.every(Boolean)
}

class TimedOut extends Error {}

async function until(
  look: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await look())) {
    if (performance.now() > deadline) throw new TimedOut(`within ${timeoutMs} ms it never came to: ${what}`)
    await wait(50, undefined, { signal })
  }
}

type Stops = ReturnType<typeof createStops>

/** The longest stop after each kind of fault. Where two overlap, neither is to blame alone. */
function createStops() {
  const longest = new Map<FaultName, number>()
  const injected = new Map<FaultName, number>()
  let pairs: number | undefined
  return {
    note({ faults }: Step, stopMs: number): void {
      for (const { name } of faults) injected.set(name, (injected.get(name) ?? 0) + 1)
      const [first] = faults
      if (faults.length > 1) pairs = Math.max(pairs ?? 0, stopMs)
      else if (first !== undefined) longest.set(first.name, Math.max(longest.get(first.name) ?? 0, stopMs))
    },
    figures: (): ReadonlyMap<FaultName, FaultFigures> =>
      new Map([...injected].map(([name, count]) => [name, { injected: count, longestStopMs: longest.get(name) }])),
    ofPairs: () => pairs,
  }
}
