import { setTimeout as wait } from 'node:timers/promises'
import { startInspector } from '#src/engine/kafka/inspector.ts'
import { type FaultName, faultKind } from '../support/faults/faults.ts'
import { type PlannedFault, planFaults, type Step } from '../support/faults/plan.ts'
import type { Replica } from '../support/faults/replica.ts'
import { startWorld, type World } from '../support/faults/world.ts'
import { checkOutcome, type Outcome } from './check.ts'
import { recordHistory } from './history.ts'
import { createVerdicts, INVARIANTS, type Invariant, type Verdicts, type Violation } from './invariants.ts'
import { type Load, startLoad } from './load.ts'
import { type Sampler, startSampler } from './sampler.ts'

export interface ChaosOptions {
  readonly seed: number
  readonly minutes: number
  readonly replicas: number
  /** Records a second. */
  readonly rate: number
  /** Only these faults; all of them by default. */
  readonly only?: readonly FaultName[] | undefined
  /** Told what happens, a line each. */
  readonly say: (line: string) => void
  /** Ends it early: everything is taken down, and it rejects. */
  readonly signal?: AbortSignal
}

export interface FaultFigures {
  readonly injected: number
  /** Of those that came alone; `undefined` when none did. */
  readonly longestStopMs: number | undefined
}

export interface ChaosResult {
  readonly seed: number
  readonly seconds: number
  readonly replicas: number
  readonly faults: ReadonlyMap<FaultName, FaultFigures>
  /** After two faults at a time. */
  readonly longestStopOfPairsMs: number | undefined
  readonly outcome: Outcome
  readonly maxRssBytes: number
  /** Single facts held against each invariant. */
  readonly checks: ReadonlyMap<Invariant, number>
  readonly violations: readonly Violation[]
}

const PARTITIONS = 6
const SHUTDOWN_TIMEOUT_MS = 15_000
/** How long any partition may stand still after a fault. */
const RECOVERY_TIMEOUT_MS = 45_000
/** How long it may take after the last fault until there is no lag and everybody is ready. */
const QUIESCE_TIMEOUT_MS = 60_000
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
  const plan = planFaults(options)
  say(`seed ${seed}: ${plan.flatMap(({ faults }) => faults).length} faults in ${plan.length} steps`)
  for (const step of plan)
    say(`  ${(step.atMs / 1000).toFixed(1).padStart(6)} s  ${step.faults.map(inWords).join(' + ')}`)

  await using world = await startWorld({
    replicas: options.replicas,
    partitions: PARTITIONS,
    shutdownTimeoutMs: SHUTDOWN_TIMEOUT_MS,
    log: tell,
    onDeath: ({ slot }, code, lines) => {
      verdicts.violated('I12', `replica ${slot} ended with ${code}, unasked; it said:\n${lines.join('\n')}`)
    },
  })
  tell(`servers are up; the replicas' logs are in ${world.logDir}`)
  await recordHistory(world)
  await Promise.all(world.replicas.map(replica => replica.start()))
  await until(() => allReady(world), 'the replicas being ready', QUIESCE_TIMEOUT_MS, options.signal)
  const sampler = await startSampler(world, PARTITIONS, verdicts)
  const connection = { brokers: [world.kafka.brokers], security: {}, extra: {} }
  const load = await startLoad({ connection, topic: world.topic, seed, rate: options.rate })
  await until(() => sampler.steadySince(0) !== undefined, 'every partition moving', 60_000, options.signal)
  tell(`${options.replicas} replicas at work under ${options.rate} records a second`)

  const stops = createStops()
  for (const step of plan) {
    await reviveTheDead(world.replicas)
    await carryOut(step, { world, sampler, verdicts, stops, tell, signal: options.signal })
  }
  await reviveTheDead(world.replicas)
  await load.stop()
  tell(`the last fault is over; ${load.sent.length} records were sent, ${load.unknown} of them with unknown outcome`)
  await quiesce(world, load, verdicts, options.signal)
  await sampler.stop()
  await Promise.all(world.replicas.map(replica => leaves(replica, verdicts)))
  tell('everything is at rest: checking what there is')
  const outcome = await checkOutcome(world, load, verdicts)
  const invariants = Object.keys(INVARIANTS) as Invariant[]
  return {
    seed,
    seconds: (performance.now() - startedAt) / 1000,
    replicas: options.replicas,
    faults: stops.figures(),
    longestStopOfPairsMs: stops.ofPairs(),
    outcome,
    maxRssBytes: sampler.maxRssBytes,
    checks: new Map(invariants.map(invariant => [invariant, verdicts.checks(invariant)])),
    violations: verdicts.violations,
  }
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

async function doOne(planned: PlannedFault, { world, verdicts, tell, signal }: Running): Promise<void> {
  const replica = world.replicas[planned.worker]
  if (replica === undefined) throw new RangeError(`no replica ${planned.worker}`)
  const kind = faultKind(planned.name)
  const fault = kind.make(world, replica, what => verdicts.violated('I12', what))
  await wait(planned.delayMs, undefined, { signal })
  tell(`inject  ${inWords(planned)}`)
  try {
    await fault.inject()
    await wait(planned.durationMs, undefined, { signal })
  } finally {
    if (!signal?.aborted) await fault.heal()
  }
  tell(`healed  ${planned.name}`)
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

/** No lag: both progress and Kafka's offset are at the end of every partition; and everybody says that all is well. */
async function quiesce(world: World, load: Load, verdicts: Verdicts, signal?: AbortSignal): Promise<void> {
  const connection = { brokers: [world.kafka.brokers], security: {}, extra: {} }
  await using inspector = await startInspector({ connection, groupId: world.groupId })
  const partitions = await inspector.partitions(world.topic)
  let lag = `of ${load.sent.length} records is not known`
  async function noLag(): Promise<boolean> {
    const rows = await world.query<{ partition: number; next_offset: string }>(
      'SELECT partition, next_offset FROM stream_progress WHERE topic = $1 AND group_id = $2',
      [world.topic, world.groupId],
    )
    const settled = new Map(rows.map(row => [row.partition, BigInt(row.next_offset)]))
    const committed = new Map((await inspector.committed(partitions)).map(at => [at.partition, at.nextOffset]))
    const behind: string[] = []
    for (const at of partitions) {
      const { high } = await inspector.watermarks(at)
      const [progress = 0n, commit = 0n] = [settled.get(at.partition), committed.get(at.partition)]
      if (progress !== high || commit !== high)
        behind.push(`${at.partition}: end ${high}, progress ${progress}, committed ${commit}`)
    }
    lag = behind.join('; ')
    return behind.length === 0
  }
  try {
    await until(async () => (await noLag()) && (await allReady(world)), 'rest', QUIESCE_TIMEOUT_MS, signal)
    verdicts.checked('I12', partitions.length)
  } catch (error) {
    signal?.throwIfAborted()
    const ready = await Promise.all(world.replicas.map(readiness))
    verdicts.violated('I12', `${QUIESCE_TIMEOUT_MS} ms after the last fault: lag ${lag || 'none'}; ${ready.join('; ')}`)
    if (!(error instanceof TimedOut)) throw error
  }
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
