import { BrokerUnavailableError, StoreContendedError, StoreUnavailableError } from '#src/engine/errors.ts'
import type { RequestStore } from '#src/engine/operator.ts'
import type { DeadLetterSink } from '#src/engine/ports.ts'
import { originId, partitionKey, type TopicPartition } from '#src/engine/record.ts'
import type { SettlementStore, SettlementWork, StartCounts } from '#src/engine/settlement.ts'
import { toDeadLetterRecord } from '#src/inbox/record.ts'
import { createMemoryStore, type MemoryStore } from '../memory-store.ts'
import type { Auditor, DeadLetterTopic } from './audit.ts'
import type { VirtualProcess } from './virtual-time.ts'
import { kindOf, refuse } from './workload.ts'
import { GROUP, type World } from './world.ts'

export const createSharedStore = (): MemoryStore<string> => createMemoryStore<string>({ refuse })

type Call = <R>(name: string, effect: () => Promise<R>) => Promise<R>

/** Requests of one process to the store, over a network and through faults. */
export function connect(world: World, process: VirtualProcess): Call {
  const { random, faults, time } = world

  return function call<R>(name: string, effect: () => Promise<R>): Promise<R> {
    const strike = faults.strike()
    const away = () => new StoreUnavailableError(`${name}: the store is away`)
    return new Promise((resolve, reject) => {
      const fail = (delayMs: number, error: Error) => {
        process.after(delayMs, () => {
          world.tell(() => `${process.name}: ${error.message}`)
          reject(error)
        })
      }
      const arrive = () => {
        // The statements of a transaction come one by one: one whose process is frozen is carried on after the thaw,
        // unless its COMMIT was out already; one whose process died, likewise never.
        if (process.state !== 'running' && random.chance(0.5)) return process.after(0, arrive)
        if (faults.away.store || strike === 'refused') return fail(random.between(0, 3_000), away())
        if (strike === 'contended') {
          return fail(random.between(0, 1_000), new StoreContendedError(`${name}: deadlock`, { sqlState: '40P01' }))
        }
        if (strike === 'late') {
          fail(random.between(0, 1_000), away())
          return time.after(random.between(500, 20_000), () => void effect().catch(() => {}))
        }
        return void effect().then(
          result => {
            if (strike === 'reply_lost') return fail(random.between(0, 3_000), away())
            process.after(faults.latency(), () => resolve(result))
          },
          (error: Error) => fail(faults.latency(), error),
        )
      }
      time.after(strike === 'slow' ? random.between(100, 6_000) : faults.latency(), arrive)
    })
  }
}

/** The store as one process reaches it. What it does there is audited. `die` ends the process. */
export function connectStore(
  world: World,
  {
    memory,
    call,
    audit,
    name,
    die,
    onSettle,
  }: {
    readonly memory: MemoryStore<string>
    readonly call: Call
    readonly audit: Auditor
    readonly name: string
    readonly die: () => void
    readonly onSettle: (work: SettlementWork<string>) => void
  },
): SettlementStore<string> {
  return {
    settle: work => {
      onSettle(work)
      if (work.ready.some(({ record }) => kindOf(record) === 'deadly')) {
        die()
        return new Promise(() => {})
      }
      return call('settle', async () => {
        const before = memory.progressOf(work, GROUP)
        const [row] = await memory.readProgress(GROUP, [work])
        const settlement = await memory.settle(work)
        const after = memory.progressOf(work, GROUP)
        world.tell(
          () =>
            `${name}: settles ${work.partition} ${work.from}..${work.to}: ${settlement.kind} (${before} -> ${after})`,
        )
        if (after !== before) {
          audit.settled(name, work, before)
          if (row?.pause !== undefined) world.violated(`${name} settled ${work.partition}, which waits for an operator`)
        }
        return settlement
      })
    },
    readProgress: (groupId, partitions) => call('progress', () => memory.readProgress(groupId, partitions)),
    identify: (groupId, partitions, topicId) => call('identify', () => memory.identify(groupId, partitions, topicId)),
    startProgress: (groupId, at, skippedFrom) => call('start', () => memory.startProgress(groupId, at, skippedFrom)),
    expire: (groupId, partition, from, to) =>
      call('expire', async () => {
        await memory.expire(groupId, partition, from, to)
        world.tell(() => `${name}: ${partition.partition} expired ${from}..${to}`)
      }),
    redrives: (groupId, topic, claims) => call('redrives', () => memory.redrives(groupId, topic, claims)),
    hold: (groupId, at, pause) =>
      call('hold', async () => {
        await memory.hold(groupId, at, pause)
        world.tell(() => `${name}: holds ${at.partition} at ${at.nextOffset}: ${pause.because}`)
      }),
    probe: () => call('probe', () => memory.probe()),
  }
}

/** What operators ask for, in the same store. */
export function connectRequests(memory: RequestStore, call: Call): RequestStore {
  return {
    read: () => call('requests', () => memory.read()),
    move: request => call('move', () => memory.move(request)),
  }
}

interface Start {
  /** Progress, which wipes the entry when it advances. */
  at: bigint | undefined
  starts: number
  suspect: bigint | undefined
  deaths: number
}

export type StartEntries = Map<string, Start>

/** The counts of starts in the same store. */
export function connectStartCounts(entries: StartEntries, memory: MemoryStore<string>, call: Call): StartCounts {
  function entryOf(groupId: string, partition: TopicPartition): Start {
    const at = memory.progressOf(partition, groupId)
    const known = entries.get(partitionKey(partition))
    const entry = known?.at === at && known !== undefined ? known : { at, starts: 0, suspect: undefined, deaths: 0 }
    entries.set(partitionKey(partition), entry)
    return entry
  }
  return {
    noteStart: (groupId, partition) =>
      call('start counts', async () => {
        const entry = entryOf(groupId, partition)
        entry.starts += 1
        return { starts: entry.starts, suspect: entry.suspect, deaths: entry.deaths }
      }),
    noteSuspect: (groupId, partition, offset, starts) =>
      call('start counts', async () => {
        const entry = entryOf(groupId, partition)
        entry.starts = Math.max(entry.starts, starts)
        entry.deaths = entry.suspect === offset ? entry.deaths + 1 : 1
        entry.suspect = offset
      }),
    clearSuspect: (groupId, partition) =>
      call('start counts', async () => {
        Object.assign(entryOf(groupId, partition), { suspect: undefined, deaths: 0 })
      }),
  }
}

/** The dead-letter topic as one process reaches it. */
export function connectSink(world: World, topic: DeadLetterTopic, process: VirtualProcess): DeadLetterSink {
  const { random, faults, time } = world

  function call<R>(effect: () => R): Promise<R> {
    const strike = faults.strike()
    return new Promise((resolve, reject) => {
      const fail = () => {
        process.after(random.between(0, 2_000), () =>
          reject(new BrokerUnavailableError('the dead-letter topic is away')),
        )
      }
      time.after(strike === 'slow' ? random.between(100, 4_000) : faults.latency(), () => {
        if (faults.away.dlq || strike === 'refused' || strike === 'contended') return fail()
        const result = effect()
        if (strike === 'reply_lost' || strike === 'late') return fail()
        process.after(faults.latency(), () => resolve(result))
      })
    })
  }

  return {
    send: deadLetter =>
      call(() => {
        const id = originId(deadLetter.origin)
        world.tell(() => `${process.name}: dead letter ${id} (${deadLetter.rejection.reason})`)
        const { reason } = deadLetter.rejection
        const end = topic.push({ id, reason, value: toDeadLetterRecord(deadLetter).value })
        return { partition: 0, offset: BigInt(end - 1) }
      }),
    probe: () => call(() => {}),
  }
}
