import { BrokerUnavailableError } from '#src/engine/errors.ts'
import type { CommitResult, HeadReader, RecordSource, SourceEvent } from '#src/engine/ports.ts'
import type { SourceRecord, TopicPartition } from '#src/engine/record.ts'
import type { Broker, Member } from './broker.ts'
import type { VirtualProcess } from './virtual-time.ts'
import { TOPIC, type World } from './world.ts'

/** Longest time that a consumer may stay away from `poll()`: else the group throws it out. */
const POLL_AT_LEAST_MS = 20_000
const TIMED_OUT = 7
const TRANSPORT = -195

const UNKNOWN_MEMBER: CommitResult = { ok: false, code: 25, message: 'no member any more' }

export interface SimulatedSource extends RecordSource {
  /** With its next poll it becomes another member, without a word to the loop but that its partitions are lost. */
  renew(): void
  readonly heads: HeadReader
}

/** A consumer of the group, in one process. It checks that it is used as its port demands. */
export function createSimulatedSource(
  world: World,
  broker: Broker,
  process: VirtualProcess,
  member: Member,
): SimulatedSource {
  const { random, faults, time } = world
  /** What the client fetches, and from where. */
  const positions = new Map<number, bigint>()
  const paused = new Set<number>()
  const outOfRange = new Set<number>()
  /** Not fetched from since they were moved. */
  const moved = new Set<number>()
  /** Rebalances and errors that `poll()` has served. */
  const events: SourceEvent[] = []
  const answers: (() => void)[] = []
  let unanswered: SourceEvent | undefined
  let lostPartitions: ReadonlySet<number> = new Set()
  let renewing = false
  /** Partitions lost with the old client, of which the loop may not have been notified yet. */
  let forgiven: ReadonlySet<number> = new Set()
  /** Events whose answer is no longer awaited. */
  const moot = new Set<SourceEvent>()
  let polling = false
  let committing: ((result: CommitResult) => void) | undefined
  let polledAtMs = time.nowMs

  const violated = (what: string) => world.violated(`${member.name}: ${what}`)

  /** A question to the broker. */
  function ask<R>(answer: () => R): Promise<R> {
    const strike = faults.strike()
    return new Promise((resolve, reject) => {
      process.after(strike === 'slow' ? random.between(100, 4_000) : faults.latency(), () => {
        const isAway = faults.away.broker || (strike !== undefined && strike !== 'slow')
        if (isAway) reject(new BrokerUnavailableError('the broker is away'))
        else resolve(answer())
      })
    })
  }

  function fetch(max: number): SourceRecord[] {
    const fetched: SourceRecord[] = []
    if (faults.away.broker) return fetched
    const start = random.between(0, 3)
    const flowing = [...positions.keys()].filter(partition => !paused.has(partition))
    for (let i = 0; i < flowing.length; i++) {
      const partition = flowing[(i + start) % flowing.length] ?? 0
      const position = positions.get(partition) ?? 0n
      const { records, low, end } = broker.log(partition)
      if (position < low || position > end) {
        if (!outOfRange.has(partition)) events.push({ kind: 'fetch_failed' })
        outOfRange.add(partition)
        continue
      }
      const first = records.findIndex(record => record.offset >= position)
      if (first < 0) continue
      // What was fetched before a seek may come after it, once more.
      const from = moved.delete(partition) && random.chance(0.2) ? Math.max(0, first - 3) : first
      const next = records.slice(from, from + Math.min(max - fetched.length, random.between(1, max)))
      const last = next.at(-1)
      if (last === undefined) continue
      if (last.offset >= position) positions.set(partition, last.offset + 1n)
      fetched.push(...next)
    }
    return fetched
  }

  function takeOver(): void {
    renewing = false
    const lost = new Set([...forgiven, ...positions.keys()])
    if (unanswered !== undefined) moot.add(unanswered)
    if (unanswered?.kind === 'assigned') for (const { partition } of unanswered.partitions) lost.add(partition)
    world.tell(() => `${member.name}: has a new client, and loses ${[...lost]}`)
    broker.leave(member)
    process.after(faults.latency(), () => broker.join(member))
    for (const known of [positions, paused, outOfRange, moved]) known.clear()
    member.inbox.length = 0
    answers.length = 0
    committing?.(UNKNOWN_MEMBER)
    committing = undefined
    forgiven = lost
    const partitions = [...lost].map(partition => ({ topic: TOPIC, partition }))
    const event: SourceEvent = { kind: 'revoked', partitions, lost: true }
    moot.add(event)
    events.splice(0, events.length, event)
  }

  /** @returns whether the answer is awaited. */
  function answered(event: SourceEvent | undefined): boolean {
    unanswered = undefined
    if (event === undefined || !moot.delete(event)) return true
    if (event.kind === 'revoked' && event.lost && events.every(({ kind }) => kind !== 'revoked')) {
      forgiven = lostPartitions = new Set()
    }
    return false
  }

  function servesRebalance(): void {
    const [next] = member.inbox
    if (next === undefined || unanswered !== undefined || events.some(({ kind }) => kind !== 'fetch_failed')) return
    member.inbox.shift()
    events.push(next)
  }

  const waits = () => {
    if (member.inbox.length > 0 || answers.length > 0) return true
    return [...positions].some(([partition, at]) => !paused.has(partition) && at < broker.log(partition).end)
  }

  return {
    renew() {
      renewing = true
    },
    heads: {
      headAt: ({ partition, nextOffset }) =>
        ask(() => {
          const { records, end } = broker.log(partition)
          return records.find(({ offset }) => offset >= nextOffset) ?? { emptyTo: end }
        }),
      [Symbol.asyncDispose]: async () => {},
    },

    async start() {
      await ask(() => broker.join(member))
      polledAtMs = time.nowMs
    },

    poll(max, timeoutMs) {
      if (renewing) takeOver()
      const sinceMs = time.nowMs - Math.max(polledAtMs, process.runningSinceMs)
      if (sinceMs > POLL_AT_LEAST_MS) violated(`did not poll for ${sinceMs} ms`)
      if (polling) violated('polls while it polls')
      polling = true
      return new Promise(resolve => {
        process.after(waits() && !faults.away.broker ? faults.latency() : timeoutMs, () => {
          polling = false
          polledAtMs = time.nowMs
          for (const answer of answers.splice(0)) answer()
          servesRebalance()
          resolve(fetch(max))
        })
      })
    },

    nextEvent() {
      const event = events.shift()
      if (event === undefined || event.kind === 'fetch_failed') return event
      if (unanswered !== undefined) violated(`takes a rebalance before the one before it is answered`)
      unanswered = event
      if (event.kind === 'revoked' && event.lost) lostPartitions = new Set(event.partitions.map(p => p.partition))
      return event
    },

    assign(starting) {
      const event = unanswered
      if (event?.kind !== 'assigned') return violated('assigns what it was not given')
      if (!answered(event)) return
      for (const { partition, nextOffset } of starting) {
        if (!event.partitions.some(each => each.partition === partition)) violated(`assigns ${partition}, not its own`)
        positions.set(partition, nextOffset)
      }
      world.tell(() => `${member.name}: assigns ${starting.map(p => `${p.partition}@${p.nextOffset}`)}`)
    },

    unassign(partitions) {
      const event = unanswered
      if (event?.kind !== 'revoked') return violated('gives back what it was not asked for')
      if (!answered(event)) return
      const numbers = partitions.map(({ partition }) => partition)
      for (const partition of numbers) {
        positions.delete(partition)
        paused.delete(partition)
        outOfRange.delete(partition)
      }
      world.tell(() => `${member.name}: gives back ${numbers}`)
      if (member.joined) broker.released(member, numbers)
      else if (event.lost) {
        lostPartitions = new Set()
        process.after(faults.latency(), () => broker.join(member))
      }
    },

    pause: partitions => eachOwned(partitions, partition => paused.add(partition)),
    resume: partitions => eachOwned(partitions, partition => paused.delete(partition)),

    async seek({ partition, nextOffset }) {
      if (forgiven.has(partition)) throw new BrokerUnavailableError('the partition is no longer ours')
      await ask(() => {
        if (forgiven.has(partition)) return
        if (!positions.has(partition)) violated(`moves ${partition}, which it does not have`)
        positions.set(partition, nextOffset)
        moved.add(partition)
        outOfRange.delete(partition)
      })
    },

    commit(sent) {
      if (committing !== undefined) violated('commits twice at a time')
      if (sent.some(({ partition }) => forgiven.has(partition))) return Promise.resolve(UNKNOWN_MEMBER)
      for (const { partition } of sent) {
        if (!positions.has(partition)) violated(`commits ${partition}, which it does not have`)
        if (lostPartitions.has(partition)) violated(`commits ${partition}, which it has lost`)
      }
      world.tell(() => `${member.name}: asks to commit ${sent.map(p => `${p.partition}@${p.nextOffset}`)}`)
      const { generation } = member
      const strike = faults.strike()
      return new Promise(resolve => {
        committing = resolve
        const answer = (result: CommitResult, delayMs: number) =>
          process.after(delayMs, () => {
            if (committing !== resolve) return
            answers.push(() => {
              committing = undefined
              resolve(result)
            })
          })
        // On its way already: it arrives even when the sender is frozen or dies meanwhile.
        time.after(strike === 'slow' ? random.between(100, 4_000) : faults.latency(), () => {
          if (faults.away.broker || strike === 'refused' || strike === 'contended') {
            return answer({ ok: false, code: TRANSPORT, message: 'away' }, random.between(0, 2_000))
          }
          const result = broker.commit(member, generation, sent)
          if (strike === 'reply_lost' || strike === 'late') {
            return answer({ ok: false, code: TIMED_OUT, message: 'timed out' }, random.between(0, 2_000))
          }
          return answer(result, faults.latency())
        })
      })
    },

    committed: partitions =>
      ask(() =>
        partitions.flatMap(({ topic, partition }) => {
          const nextOffset = broker.log(partition).committed
          return nextOffset === undefined ? [] : [{ topic, partition, nextOffset }]
        }),
      ),
    watermarks: ({ partition }) =>
      ask(() => {
        const { low, end } = broker.log(partition)
        return { low, high: end }
      }),
    cachedWatermarks({ partition }) {
      const { low, end } = broker.log(partition)
      return { low, high: end }
    },

    close: () =>
      new Promise(resolve => {
        process.after(faults.latency(), () => {
          broker.leave(member)
          resolve()
        })
      }),
  }

  function eachOwned(partitions: readonly TopicPartition[], does: (partition: number) => void): void {
    for (const { topic, partition } of partitions) {
      if (forgiven.has(partition)) continue
      if (topic !== TOPIC || !positions.has(partition))
        violated(`pauses or resumes ${partition}, which it does not have`)
      does(partition)
    }
  }
}
