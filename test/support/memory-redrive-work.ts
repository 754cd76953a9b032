import { BrokerUnavailableError, StoreUnavailableError } from '#src/engine/errors.ts'
import { HEADER, headerText } from '#src/engine/headers.ts'
import type { SourceRecord } from '#src/engine/record.ts'
import type { RedriveState } from '#src/inbox/letter-states.ts'
import {
  type GuardCounts,
  type GuardRules,
  NOTHING_COUNTED,
  type PausedBecause,
  type WaitingFor,
} from '#src/inbox/redrive-guard.ts'
import type { RedriveTarget } from '#src/inbox/redrive-ports.ts'
import {
  type PageMarks,
  type Parting,
  REDRIVE_DELIVERY_TIMEOUT_MS,
  REDRIVE_LEASE_MS,
  type RedriveInHand,
  type RedriveItem,
  type RedriveSettlement,
  type RedriveStore,
  RedriveTakenOverError,
  type RedriveTopic,
} from '#src/inbox/redrive-work.ts'
import type { RedrivenRecord } from '#src/inbox/redriven-record.ts'
import type { LagAnswer } from '#src/inbox/stream-lag.ts'
import { aRecord } from './records.ts'
import type { VirtualProcess, VirtualTime } from './simulation/virtual-time.ts'

/**
 * One redrive in virtual time: its tables, the topic and the dead letters. `test/contract/redrive-work.suite.ts` holds its store to
 * what the real one promises.
 */
export interface RedriveWorld {
  readonly id: string
  state: RedriveState
  /** What the topic holds, or, of a redrive into the store, what was settled, in this order. */
  readonly log: readonly { readonly id: string; readonly atMs: number; readonly epoch: number }[]
  readonly items: readonly MemoryItem[]
  readonly error: string | undefined
  readonly pausedBecause: PausedBecause | undefined
  readonly waitingFor: WaitingFor | undefined
  /** What its workers have counted; an operator who lets it go on resets it. */
  counts: GuardCounts
  /** Of the live stream, in seconds. */
  lagSeconds: LagAnswer
  /** The state of the server; `away`: unreachable; `mute`: accepts records without an acknowledgement. */
  broker: 'up' | 'away' | 'mute'
  store: 'up' | 'away'
  /** As a worker in this process sees it. */
  portsOf(process: VirtualProcess): {
    store: RedriveStore
    topic: RedriveTopic
    settlement: RedriveSettlement
    records: { read(places: readonly { id: string }[]): AsyncIterable<{ id: string; record: SourceRecord }> }
    lag: () => Promise<LagAnswer>
  }
}

export interface MemoryItem extends RedriveItem {
  at: 'pending' | 'claimed' | 'published' | 'resolved' | 'failed_again' | 'skipped' | 'cancelled'
  why?: string
  /** What becomes of it when its turn comes. */
  fate?: 'gone' | 'no place' | 'not open' | 'too large' | 'ahead' | 'kills' | 'fails'
}

const STORE_MS = 3
const BROKER_MS = 4
const PARTITIONS = 3
/** Of a redrive that neither pauses nor rests by itself. */
export const NO_RULES = { rules: { canary: 0, maxFailures: null, yieldAboveSeconds: 0 }, counts: NOTHING_COUNTED }
export const FAILURE = { reason: 'schema_violation', error: 'required', pointer: '/payment/bank' }

export function aRedriveWorld(
  time: VirtualTime,
  options: {
    count: number
    to?: RedriveTarget
    rate?: number
    fates?: Readonly<Record<number, MemoryItem['fate']>>
    rules?: Partial<GuardRules>
    /** A consumer settles what was published so long after it was noted; absent: none does. */
    settledAfterMs?: number
  },
): RedriveWorld {
  const items: MemoryItem[] = Array.from({ length: options.count }, (_, n) => {
    const offset = BigInt(n)
    const partition = Math.floor((n * PARTITIONS) / options.count)
    const fate = options.fates?.[n]
    return {
      id: `orders-${partition}-${n}`,
      origin: { topic: 'orders', partition, offset, timestampMs: n },
      redriveCount: 0,
      place: fate === 'no place' ? undefined : { partition, offset },
      bytes: 100,
      edited: undefined,
      ahead: fate === 'ahead',
      at: 'pending',
      ...(fate === undefined ? {} : { fate }),
    }
  })
  const byId = new Map(items.map(item => [item.id, item]))
  const log: { id: string; atMs: number; epoch: number; partition: number }[] = []
  let epoch = 0
  let heardMs: number | undefined
  let marks: PageMarks | undefined
  let deaths = 0
  let error: string | undefined
  let pausedBecause: PausedBecause | undefined
  let waitingFor: WaitingFor | undefined
  const rules: GuardRules = { ...NO_RULES.rules, ...options.rules }

  const world: RedriveWorld = {
    id: 'r1',
    state: 'queued',
    log,
    items,
    broker: 'up',
    store: 'up',
    counts: NOTHING_COUNTED,
    lagSeconds: 0,
    get pausedBecause() {
      return pausedBecause
    },
    get waitingFor() {
      return waitingFor
    },
    get error() {
      return error
    },
    portsOf,
  }

  const isAlive = () => heardMs !== undefined && time.nowMs - heardMs < REDRIVE_LEASE_MS
  const isFree = () => world.state === 'queued' || (isUnderWay() && !isAlive())
  const isUnderWay = () => ['running', 'pausing', 'cancelling'].includes(world.state)

  /** What an operator has asked for meanwhile is not forgotten. */
  function stateAfter(parting: Parting): RedriveState {
    const { to } = parting
    if ((to === 'queued' || to === 'paused') && world.state === 'cancelling') return 'cancelling'
    if (to === 'queued' && world.state === 'pausing') return 'paused'
    if (to === 'paused' && world.state === 'running' && !('because' in parting)) return 'queued'
    return to
  }

  function portsOf(process: VirtualProcess) {
    let myEpoch = 0

    /** What is asked is done also when the asker is dead by then; the answer comes when it is thawed. */
    function ask<R>(does: () => R): Promise<R> {
      return new Promise((resolve, reject) => {
        process.after(0, () => {
          time.after(STORE_MS, () => {
            const answer = attempt(does)
            process.after(STORE_MS, () => ('error' in answer ? reject(answer.error) : resolve(answer.value)))
          })
        })
      })
    }
    function attempt<R>(does: () => R): { value: R } | { error: unknown } {
      try {
        if (world.store === 'away') throw new StoreUnavailableError('away')
        return { value: does() }
      } catch (error) {
        return { error }
      }
    }
    function mine<R>(redrive: RedriveInHand, does: () => R): Promise<R> {
      return ask(() => {
        if (redrive.epoch !== epoch || !isUnderWay()) throw new RedriveTakenOverError('taken over')
        return does()
      })
    }
    function set(ids: readonly string[], from: readonly MemoryItem['at'][], at: MemoryItem['at'], why?: string) {
      for (const id of ids) {
        const item = byId.get(id)
        if (item === undefined || !from.includes(item.at)) continue
        item.at = at
        if (why !== undefined) item.why = why
      }
    }

    const store: RedriveStore = {
      waiting: () => ask(() => (isFree() ? world.id : undefined)),
      take: () =>
        ask(() => {
          if (!isFree()) return undefined
          if (world.state === 'queued') world.state = 'running'
          epoch += 1
          myEpoch = epoch
          heardMs = time.nowMs
          waitingFor = undefined
          return { id: world.id, epoch, to: options.to ?? 'topic', rate: options.rate, rules, counts: world.counts }
        }),
      beat: redrive =>
        mine(redrive, () => {
          heardMs = time.nowMs
          return world.state
        }),
      page: (redrive, limit) =>
        mine(redrive, () => {
          const claimed = items.filter(item => item.at === 'claimed')
          if (claimed.length > 0) return { items: claimed, marks, state: world.state }
          return {
            items: items.filter(item => item.at === 'pending').slice(0, limit),
            marks: undefined,
            state: world.state,
          }
        }),
      claim: (redrive, ids, ends) =>
        mine(redrive, () => {
          marks = ends
          const pending = ids.filter(id => byId.get(id)?.at === 'pending')
          const open = pending.filter(id => byId.get(id)?.fate !== 'not open')
          set(open, ['pending'], 'claimed')
          set(pending, ['pending'], 'skipped', 'not_open')
          return new Set(open)
        }),
      inherit: redrive => mine(redrive, () => ++deaths),
      spare: redrive =>
        mine(redrive, () => {
          deaths = 0
        }),
      notePublished: (redrive, ids) =>
        mine(redrive, () => {
          set(ids, ['claimed'], 'published')
          if (options.settledAfterMs !== undefined) time.after(options.settledAfterMs, () => settle(ids, 'published'))
        }),
      noteSkipped: (redrive, ids, why) => mine(redrive, () => set(ids, ['pending', 'claimed'], 'skipped', why)),
      outcomes: (redrive, after) =>
        mine(redrive, () => {
          const members = items.slice(after)
          const open = members.findIndex(({ at }) => ['pending', 'claimed', 'published'].includes(at))
          const over = open === -1 ? members : members.slice(0, open)
          const settled = over.filter(({ at }) => at === 'resolved' || at === 'failed_again')
          return {
            outcomes: settled.map(({ at }) => ({ failure: at === 'resolved' ? undefined : FAILURE })),
            at: after + over.length,
            awaits: members[open]?.at === 'published',
            more: false,
          }
        }),
      noteGuard: (redrive, counts, waits) =>
        mine(redrive, () => {
          world.counts = counts
          waitingFor = waits
        }),
      part: (redrive, parting) =>
        mine(redrive, () => {
          heardMs = undefined
          deaths = 0
          if (parting.to === 'cancelled' || parting.to === 'failed') set([...byId.keys()], ['claimed'], 'cancelled')
          if (parting.to === 'failed') error = parting.error
          if ('because' in parting) {
            pausedBecause = parting.because
            world.counts = parting.counts
          }
          waitingFor = undefined
          world.state = stateAfter(parting)
        }),
    }

    /** As a batch of the stream, or the page itself, does it. */
    function settle(ids: readonly string[], from: 'claimed' | 'published'): void {
      set(
        ids.filter(id => byId.get(id)?.fate !== 'fails'),
        [from],
        'resolved',
      )
      set(ids, [from], 'failed_again')
    }

    const settlement: RedriveSettlement = {
      settle(redrive, page, _stop, condemned) {
        if (condemned === undefined && page.some(({ item }) => byId.get(item.id)?.fate === 'kills')) process.kill()
        return mine(redrive, () => {
          if (process.state === 'dead') throw new Error('it never came to that')
          deaths = 0
          for (const { item } of page) {
            if (byId.get(item.id)?.at !== 'claimed') throw new Error(`${item.id} is not in hand`)
            log.push({ id: item.id, atMs: time.nowMs, epoch: redrive.epoch, partition: item.origin.partition })
          }
          const ids = page.map(({ item }) => item.id)
          if (condemned === undefined) settle(ids, 'claimed')
          else set(ids, ['claimed'], 'failed_again')
          return {
            ...{ resolved: condemned === undefined ? ids.length : 0, parked: 0 },
            failed_again: condemned === undefined ? 0 : ids.length,
          }
        })
      },
    }

    const topic: RedriveTopic = {
      ends: partitions => fromBroker(() => new Map(partitions.map(partition => [partition, BigInt(endOf(partition))]))),
      published: (_, since) =>
        fromBroker(() => {
          const seen = new Map<number, number>()
          const found = log.filter(({ partition }) => {
            const offset = seen.get(partition) ?? 0
            seen.set(partition, offset + 1)
            const from = since.get(partition)
            return from !== undefined && BigInt(offset) >= from
          })
          return new Set(found.map(({ id }) => id))
        }),
      publish: record => produce(record),
      async [Symbol.asyncDispose]() {},
    }

    function fromBroker<R>(does: () => R): Promise<R> {
      return new Promise((resolve, reject) => {
        process.after(BROKER_MS, () => {
          if (world.broker === 'up') resolve(does())
          else process.after(2_000, () => reject(new BrokerUnavailableError('away')))
        })
      })
    }

    /** Like librdkafka: tried until its time is over, and not sent after that, however long the process was frozen. */
    function produce(record: RedrivenRecord): Promise<'acknowledged' | 'refused'> {
      const sentAtMs = time.nowMs
      const id = headerText(record, HEADER.id) ?? ''
      return new Promise((resolve, reject) => {
        const send = () => {
          if (time.nowMs - sentAtMs >= REDRIVE_DELIVERY_TIMEOUT_MS)
            return reject(new BrokerUnavailableError('timed out'))
          if (byId.get(id)?.fate === 'too large') return resolve('refused')
          if (world.broker === 'away') return process.after(500, send)
          log.push({ id, atMs: time.nowMs, epoch: myEpoch, partition: record.partition })
          if (world.broker === 'up') process.after(BROKER_MS, () => resolve('acknowledged'))
          else process.after(REDRIVE_DELIVERY_TIMEOUT_MS, () => reject(new BrokerUnavailableError('no answer')))
        }
        process.after(BROKER_MS, send)
      })
    }

    const endOf = (partition: number) => log.filter(entry => entry.partition === partition).length
    const records = {
      async *read(places: readonly { readonly id: string }[]) {
        const found = await fromBroker(() => places.filter(({ id }) => byId.get(id)?.fate !== 'gone'))
        for (const { id } of found) yield { id, record: aRecord({ text: id }) }
      },
    }
    return { store, topic, settlement, records, lag: async () => world.lagSeconds }
  }

  return world
}
