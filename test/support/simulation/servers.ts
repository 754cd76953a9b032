import { toDeadLetterRecord } from '#src/core/dead-letter.ts'
import { BrokerUnavailableError, StoreContendedError, StoreUnavailableError } from '#src/core/errors.ts'
import type { DeadLetterSink, SettlementStore } from '#src/core/ports.ts'
import { originId } from '#src/core/record.ts'
import { createMemoryStore, type MemoryStore } from '../memory-store.ts'
import type { Auditor } from './audit.ts'
import type { VirtualProcess } from './virtual-time.ts'
import { refuse } from './workload.ts'
import { GROUP, type World } from './world.ts'

/** The dead-letter topic: the value of each record in it, with its `holdfast.id`. */
export type DeadLetterTopic = { readonly id: string; readonly value: Buffer | null }[]

export const createSharedStore = (): MemoryStore<string> => createMemoryStore<string>({ refuse })

/** The store as one process reaches it: over a network, through faults. What it does there is audited. */
export function connectStore(
  world: World,
  memory: MemoryStore<string>,
  process: VirtualProcess,
  audit: Auditor,
): SettlementStore<string> {
  const { random, faults, time } = world

  function call<R>(name: string, effect: () => Promise<R>): Promise<R> {
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

  return {
    settle: work =>
      call('settle', async () => {
        const before = memory.progressOf(work, GROUP)
        const settlement = await memory.settle(work)
        const after = memory.progressOf(work, GROUP)
        world.tell(
          () =>
            `${process.name}: settles ${work.partition} ${work.from}..${work.to}: ${settlement.kind} (${before} -> ${after})`,
        )
        if (after !== before) audit.settled(process.name, work, before)
        return settlement
      }),
    readProgress: (groupId, partitions) => call('progress', () => memory.readProgress(groupId, partitions)),
    startProgress: (groupId, at) => call('start', () => memory.startProgress(groupId, at)),
    expire: (groupId, partition, from, to) =>
      call('expire', async () => {
        await memory.expire(groupId, partition, from, to)
        world.tell(() => `${process.name}: ${partition.partition} expired ${from}..${to}`)
      }),
    probe: () => call('probe', () => memory.probe()),
  }
}

/** The dead-letter topic as one process reaches it. */
export function connectSink(world: World, topic: DeadLetterTopic, process: VirtualProcess): DeadLetterSink {
  const { random, faults, time } = world

  function call(effect: () => void): Promise<void> {
    const strike = faults.strike()
    return new Promise((resolve, reject) => {
      const fail = () => {
        process.after(random.between(0, 2_000), () =>
          reject(new BrokerUnavailableError('the dead-letter topic is away')),
        )
      }
      time.after(strike === 'slow' ? random.between(100, 4_000) : faults.latency(), () => {
        if (faults.away.dlq || strike === 'refused' || strike === 'contended') return fail()
        effect()
        if (strike === 'reply_lost' || strike === 'late') return fail()
        process.after(faults.latency(), resolve)
      })
    })
  }

  return {
    send: deadLetter =>
      call(() => {
        const id = originId(deadLetter.origin)
        world.tell(() => `${process.name}: dead letter ${id} (${deadLetter.rejection.reason})`)
        topic.push({ id, value: toDeadLetterRecord(deadLetter).value })
      }),
    probe: () => call(() => {}),
  }
}
