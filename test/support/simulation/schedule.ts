import type { Fact } from '#src/engine/facts.ts'
import { livenessOf } from '#src/engine/health.ts'
import { type ManualPause, pauseOf } from '#src/engine/operator.ts'
import { claimKey } from '#src/engine/provenance.ts'
import { createPipeline, type Pipeline, type PipelineParts } from '#src/engine/run/pipeline.ts'
import { createMemoryRequests, type MemoryRequests } from '../memory-requests.ts'
import { createAuditor, type DeadLetterTopic } from './audit.ts'
import { createBroker, type Member } from './broker.ts'
import type { WorldFault } from './faults.ts'
import {
  connect,
  connectRequests,
  connectSink,
  connectStartCounts,
  connectStore,
  createSharedStore,
  type StartEntries,
} from './servers.ts'
import { createSimulatedSource, type SimulatedSource } from './source.ts'
import { createVirtualProcess, type VirtualProcess } from './virtual-time.ts'
import { createProducer, judge } from './workload.ts'
import { createWorld, GROUP, TOPIC, type World } from './world.ts'

export interface ScheduleResult {
  readonly seed: number
  /** The promise that was broken; `undefined` when all were kept. */
  readonly broken: string | undefined
  readonly records: number
  /** Faults that hit, by kind. */
  readonly faults: Readonly<Partial<Record<WorldFault, number>>>
  /** In virtual ms: from the last fault until everything was settled and committed. */
  readonly recoveryMs: number
  readonly trace: readonly string[]
}

/** How long things go wrong. */
const FAULTY_MS = 12_000
/**
 * How long it may take then, until all is settled: also when a deadly record has yet to end a few processes, one session
 * after the other.
 */
const RECOVERY_MS = 300_000
/** Drain, commit, and the longest request: a stop takes no longer. */
const STOP_MS = 40_000
/** A probe finds nothing that stands still for longer than this without a reason; a retry takes 2 s here at most. */
const STUCK_AFTER_MS = 30_000
/** Without a sign of life for so long, a member is thrown out. */
const SESSION_MS = 6_000

interface Slot {
  readonly name: string
  lives: number
  current: Life | undefined
}

interface Life {
  readonly process: VirtualProcess
  readonly member: Member
  readonly source: SimulatedSource
  readonly pipeline: Pipeline
  /** Ends it as SIGTERM does. */
  stop(): void
}

/**
 * Plays one schedule: a producer, one to three pipelines of one group, a broker, a store and a dead-letter topic, and
 * faults, all of it decided by the seed. Then the faults end, everything must be settled, and the tables are audited.
 */
export async function playSchedule(seed: number, { tracing = false } = {}): Promise<ScheduleResult> {
  const world = createWorld(seed, tracing)
  const { random, time, faults } = world
  const store = createSharedStore()
  const dlq: DeadLetterTopic = []
  const startCounts: StartEntries = new Map()
  // Nothing is moved: what is read again would have no place in the audit.
  const requests = createMemoryRequests(() => undefined)
  const partitions = random.between(1, 4)
  const broker = createBroker(world, {
    partitions,
    producer: createProducer(random, random.pick([0, 0.1, 0.5, 0.95]), TOPIC, {
      isSettled: origin => (store.progressOf(origin, GROUP) ?? 0n) > origin.offset,
      publishes: (redriveId, origin) => {
        store.inbox.items.set(claimKey({ redriveId, origin }), { state: 'published', outcome: null })
      },
    }),
    progressOf: partition => store.progressOf({ topic: TOPIC, partition }, GROUP),
  })
  const audit = createAuditor(world, { broker, store, dlq })
  const settings = drawSettings()
  const slots: Slot[] = Array.from({ length: random.between(1, 3) }, (_, i) => {
    return { name: `p${i}`, lives: 0, current: undefined }
  })
  const hits: Partial<Record<WorldFault, number>> = {}

  // Some faults find a stream that is idle, which nothing heals by coming later.
  const producingUntilMs = random.between(FAULTY_MS / 3, FAULTY_MS)

  for (const slot of slots) time.after(random.between(0, 500), () => start(slot))
  keepProducing()
  keepStriking()
  keepLiftingPauses()
  keepProbing()
  while (time.nowMs < FAULTY_MS && world.broken === undefined) await time.step()

  calm()
  const calmAtMs = time.nowMs
  while (world.broken === undefined && !audit.isDrained()) {
    if (time.nowMs - calmAtMs > RECOVERY_MS) world.violated(`not all is settled ${RECOVERY_MS} ms after the last fault`)
    await time.step()
  }
  const recoveryMs = time.nowMs - calmAtMs
  if (world.broken === undefined) audit.finish()

  for (const slot of slots) slot.current?.stop()
  while (world.broken === undefined && slots.some(slot => slot.current !== undefined)) await time.step()

  const records = broker.logs.reduce((sum, log) => sum + log.records.length, 0)
  return { seed, broken: world.broken, records, faults: hits, recoveryMs, trace: world.trace }

  function drawSettings() {
    const { between, pick, next } = random
    return {
      topic: TOPIC,
      groupId: GROUP,
      judge,
      onSettled: () => {},
      random: next,
      lanes: between(1, 3),
      batch: { maxRecords: between(1, 8), maxBytes: pick([20, 1_000_000]), lingerMs: pick([0, 5, 50]) },
      retry: { initialMs: 50, maxMs: 2_000, maxAttempts: 3 },
      drainTimeoutMs: pick([0, 50, 3_000]),
      crashLoopMaxStarts: 4,
      stormLimit: pick([0, 0, 4]),
    } satisfies Partial<PipelineParts<string>>
  }

  function start(slot: Slot): void {
    slot.lives += 1
    const name = `${slot.name}.${slot.lives}`
    const process = createVirtualProcess(name, time)
    const member: Member = { name, inbox: [], joined: false, generation: 0 }
    const call = connect(world, process)
    const source = createSimulatedSource(world, broker, process, member)
    const held = watchHeld(world, requests, name)
    const pipeline = createPipeline<string>({
      ...settings,
      source,
      heads: source.heads,
      store: connectStore(world, {
        memory: store,
        call,
        audit,
        name,
        die: () => crash(slot, life),
        onSettle: held.settles,
      }),
      requests: connectRequests(requests, call),
      startCounts: connectStartCounts(startCounts, store, call),
      sink: connectSink(world, dlq, process),
      clock: process.clock,
      observer: {
        observe(fact) {
          held.observe(fact)
          world.tell(() => `${name}: ${told(fact)}`)
        },
      },
    })
    world.tell(() => `${name}: starts`)
    let stopping = false
    const life: Life = {
      process,
      member,
      source,
      pipeline,
      stop() {
        if (stopping) return
        stopping = true
        world.tell(() => `${name}: is asked to stop`)
        process.after(0, () => void pipeline.stop())
        time.after(STOP_MS, () => {
          const wasFrozen = process.state === 'frozen' || time.nowMs - process.runningSinceMs < STOP_MS
          if (slot.current === life && !wasFrozen) world.violated(`${name} has not stopped within ${STOP_MS} ms`)
        })
      },
    }
    slot.current = life
    const ended = (error?: unknown) => {
      if (!stopping || error !== undefined) world.violated(`${name} ended by itself: ${error}`)
      world.tell(() => `${name}: has stopped`)
      process.kill()
      slot.current = undefined
      if (!faults.calm || slots.every(({ current }) => current === undefined)) restart(slot)
    }
    pipeline.run().then(() => ended(), ended)
  }

  function restart(slot: Slot): void {
    time.after(random.between(50, 3_000), () => {
      if (slot.current === undefined && !audit.isDrained()) start(slot)
    })
  }

  function keepProducing(): void {
    if (time.nowMs > producingUntilMs) return
    const { partition } = random.pick(broker.logs)
    if (random.chance(0.1)) broker.skip(partition)
    broker.append(partition, random.between(1, 10))
    time.after(random.between(5, 800), keepProducing)
  }

  function keepStriking(): void {
    if (faults.calm) return
    if (faults.world.length > 0) hit(random.pick(faults.world))
    time.after(random.between(50, 2_500), keepStriking)
  }

  /** The operator, who looks now and then at what waits for him. */
  function keepLiftingPauses(): void {
    for (const { partition } of broker.logs) store.liftPause({ topic: TOPIC, partition }, GROUP)
    time.after(random.between(500, 4_000), keepLiftingPauses)
  }

  /** Checks the liveness probes: none may request a restart, because the service recovers from every simulated fault without one. */
  function keepProbing(): void {
    for (const { current } of slots) {
      if (current?.process.state !== 'running' || time.nowMs - current.process.runningSinceMs < 5_000) continue
      const checks = livenessOf(() => current.pipeline.status(), {
        stuckAfterMs: STUCK_AFTER_MS,
        now: () => time.nowMs,
      })
      for (const { name, check } of checks) {
        const { ok, reason } = check()
        if (!ok) world.violated(`${current.member.name}: its probe ${name} fails: ${reason}`)
      }
    }
    time.after(1_000, keepProbing)
  }

  function hit(fault: WorldFault): void {
    hits[fault] = (hits[fault] ?? 0) + 1
    const slot = random.pick(slots)
    const life = slot.current
    world.tell(() => `fault: ${fault}${life === undefined ? '' : ` ${life.member.name}`}`)
    if (fault === 'rebalance') broker.rebalance()
    else if (fault === 'store_away' || fault === 'dlq_away' || fault === 'broker_away') goAway(fault)
    else if (fault === 'retention') retain()
    else if (fault === 'pause') pauseForAWhile()
    else if (life === undefined) return
    else if (fault === 'restart') life.stop()
    else if (fault === 'renew') life.source.renew()
    else if (fault === 'expel') broker.expel(life.member)
    else if (fault === 'crash') crash(slot, life)
    else freeze(life)
  }

  function goAway(fault: 'store_away' | 'dlq_away' | 'broker_away'): void {
    const server = ({ store_away: 'store', dlq_away: 'dlq', broker_away: 'broker' } as const)[fault]
    faults.away[server] = true
    time.after(random.between(100, 6_000), () => {
      faults.away[server] = false
    })
  }

  /** Not before there is progress: what was removed before anybody looked is not the stream's. */
  function retain(): void {
    const { partition, low, end } = random.pick(broker.logs)
    if (store.progressOf({ topic: TOPIC, partition }, GROUP) === undefined) return
    broker.retain(partition, low + BigInt(random.between(0, Number(end - low))))
  }

  /** An operator holds a partition, or the stream. */
  function pauseForAWhile(): void {
    const partition = random.chance(0.2) ? undefined : random.pick(broker.logs).partition
    requests.pause(partition)
    time.after(random.between(500, 6_000), () => requests.resume(partition))
  }

  function crash(slot: Slot, { process, member }: Life): void {
    process.kill()
    slot.current = undefined
    expelAfterSession(member, process)
    restart(slot)
  }

  function freeze({ process, member }: Life): void {
    process.freeze()
    time.after(random.between(100, 12_000), () => process.thaw())
    expelAfterSession(member, process)
  }

  function expelAfterSession(member: Member, process: VirtualProcess): void {
    const { generation } = member
    time.after(SESSION_MS, () => {
      const silent = process.state !== 'running' && member.generation === generation
      if (silent) broker.expel(member)
    })
  }

  /** Ends all faults. A partition whose end is a gap gets a record: otherwise it is undetectable that the log continues. */
  function calm(): void {
    world.tell(() => 'faults end')
    faults.calm = true
    requests.pauses.splice(0)
    Object.assign(faults.away, { store: false, dlq: false, broker: false })
    for (const slot of slots) {
      slot.current?.process.thaw()
      if (slot.current === undefined) restart(slot)
    }
    for (const { partition, records, end } of broker.logs) {
      if (end === 0n || records.at(-1)?.offset !== end - 1n) broker.append(partition, 1)
    }
  }
}

/** While one is in the store, the next one is validated. */
const IN_FLIGHT = 2

/** Holds that a process settles nothing more of a partition that an operator holds, but for what it had in flight. */
function watchHeld(world: World, requests: MemoryRequests, name: string) {
  /** The pause by which it has stopped, and where the batches begin that it has tried to settle since. */
  const stopped = new Map<number, { readonly pause: ManualPause; readonly begun: Set<bigint> }>()
  return {
    observe(fact: Fact): void {
      if (fact.kind === 'paused' && fact.reason === 'operator') {
        const { partition } = fact.partition
        const pause = pauseOf(requests.pauses, partition)
        if (pause !== undefined) stopped.set(partition, { pause, begun: new Set() })
      } else if (fact.kind === 'resumed' && fact.reason === 'operator') stopped.delete(fact.partition.partition)
      else if (fact.kind === 'revoked') for (const { partition } of fact.partitions) stopped.delete(partition)
      // An assignment begins without pauses, until it says otherwise.
      else if (fact.kind === 'assigned') for (const { partition } of fact.positions) stopped.delete(partition)
    },
    settles({ partition, from }: { readonly partition: number; readonly from: bigint }): void {
      const { pause, begun } = stopped.get(partition) ?? {}
      // One that was lifted may have been read already.
      if (pause === undefined || begun === undefined || !requests.pauses.includes(pause)) return
      if (begun.add(from).size > IN_FLIGHT) world.violated(`${name} goes on with ${partition}, which an operator holds`)
    },
  }
}

/** A fact in a line of the trace. */
function told({ kind, ...fact }: Fact): string {
  const text = JSON.stringify(fact, (name, value: unknown) =>
    typeof value === 'bigint' ? Number(value) : name === 'deadLetter' || name === 'counts' ? undefined : value,
  )
  return `${kind} ${text.slice(0, 120)}`
}
