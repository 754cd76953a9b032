import { beforeEach, describe, expect, it } from 'vitest'
import { BrokerUnavailableError } from '#src/engine/errors.ts'
import type { Clock, Head, Progress } from '#src/engine/ports.ts'
import type { Breaker } from '#src/engine/run/breaker.ts'
import { createOwnedPartition, type OwnedPartition } from '#src/engine/run/partition.ts'
import { askAgain } from '#src/engine/watch/ask-again.ts'
import { pollHeads } from '#src/engine/watch/heads.ts'
import { pollMarks } from '#src/engine/watch/marks.ts'
import { emptyAhead, headTimestampMs, readTo, stalledMs } from '#src/engine/watch/rules.ts'
import { watchStalls } from '#src/engine/watch/stalls.ts'
import { createViews, marksOf, type PartitionView, requestReposition, type Views } from '#src/engine/watch/view.ts'
import { aRecord } from '../../../support/records.ts'

const LIMITS = { maxRecords: 2, maxBytes: 1_000, lingerMs: 0 }

let nowMs: number
const clock: Clock = { now: () => nowMs, monotonic: () => nowMs, sleep: async () => {} }
let partitions: OwnedPartition[]
let views: Views

function own(owned: OwnedPartition[]): void {
  partitions = owned
  views = createViews()
  for (const partition of owned) views.enter(partition)
}

beforeEach(() => {
  nowMs = 1_000_000
  own([0, 1].map(partition => createOwnedPartition({ topic: 'orders', partition, nextOffset: 10n })))
})

function one(): OwnedPartition {
  const [first] = partitions
  if (first === undefined) throw new Error('there are two')
  return first
}

function viewOf(partition = one()): PartitionView {
  const view = views.of(partition)
  if (view === undefined) throw new Error('it is ours')
  return view
}

/** The broker says just now that the log goes on beyond progress, or that it does not. */
function ends(partition: OwnedPartition, beyond: boolean): void {
  viewOf(partition).marks = marksOf({ low: 0n, high: partition.settled + (beyond ? 5n : 0n) }, clock)
}

function receive(partition: OwnedPartition, ...offsets: bigint[]): void {
  for (const offset of offsets) partition.push(aRecord({ partition: partition.partition, offset }), nowMs)
}

describe('a partition that stands still', () => {
  let excused: boolean
  let inKafka: ReadonlySet<OwnedPartition>
  let look: () => void

  beforeEach(() => {
    excused = false
    inKafka = new Set()
    look = watchStalls({ views, clock, excused: () => excused })
    look()
    nowMs += 1_000
  })

  /** Looks all the while, as the loop does. */
  function pass(ms: number): void {
    const turn = () => {
      for (const partition of inKafka) {
        ends(partition, true)
        viewOf(partition).head = { offset: partition.settled, head: { timestampMs: 777 }, askedAtMs: nowMs }
      }
      look()
    }
    for (const end = nowMs + ms; nowMs < end; nowMs += 1_000) turn()
    turn()
  }
  const stalledS = (partition = one()) => Math.round(stalledMs(viewOf(partition), nowMs) / 1_000)

  it('counts the time since something last happened to what it has in hand', () => {
    receive(one(), 10n, 11n, 12n)
    const batch = one().take(LIMITS, nowMs)
    pass(50_000)
    expect(stalledS()).toBe(50)
    // That more comes in is no sign that the batch moves
    receive(one(), 13n)
    pass(10_000)
    expect(stalledS()).toBe(60)
    if (batch !== undefined) one().finish(batch, true, nowMs)
    pass(2_000)
    expect(stalledS()).toBeLessThan(4)
    // Its neighbour has nothing to do
    expect(stalledS(partitions[1])).toBe(0)
  })

  it('has none when it has nothing to do, and none for records that nobody has seen', () => {
    pass(600_000)
    expect(stalledS()).toBe(0)
  })

  it('counts a record in Kafka that it does not fetch', () => {
    inKafka = new Set(partitions)
    pass(40_000)
    expect(stalledS()).toBe(40)
    // Fetched at last, it has its whole time to be settled
    receive(one(), 10n)
    pass(3_000)
    expect(stalledS()).toBeLessThan(5)
    expect(stalledS(partitions[1])).toBe(43)
  })

  it('begins to count anew after each attempt that failed', () => {
    receive(one(), 10n)
    one().take(LIMITS, nowMs)
    for (let attempt = 0; attempt < 10; attempt++) {
      pass(30_000)
      one().noteAttempt()
    }
    pass(1_000)
    expect(stalledS()).toBeLessThan(4)
  })

  it('has a reason while something is away, it waits to try again, or somebody has to decide', () => {
    receive(one(), 10n)
    receive(partitions[1] ?? one(), 10n)
    excused = true
    pass(300_000)
    expect(stalledS()).toBe(0)
    excused = false
    one().waitsForOperator = { reason: 'storm_guard', because: 'too many' }
    partitions[1]?.waits.add({ reason: 'store_contended', error: new Error('a lock'), sinceMs: nowMs, resting: true })
    pass(300_000)
    expect([stalledS(), stalledS(partitions[1])]).toEqual([0, 0])
    const at = { topic: 'orders', partition: 2, nextOffset: 0n }
    const halted = createOwnedPartition({ ...at, halted: new Error('recreated') })
    own([halted])
    inKafka = new Set([halted])
    look = watchStalls({ views, clock, excused: () => excused })
    pass(300_000)
    expect(stalledS(halted)).toBe(0)
  })

  it('has no reason in full buffers: something does not move, or they would not be full', () => {
    receive(one(), 10n)
    one().pausedFor = ['backpressure']
    pass(20_000)
    expect(stalledS()).toBe(20)
  })

  it('does not count the time that the process was frozen', () => {
    receive(one(), 10n)
    pass(5_000)
    nowMs += 3_600_000
    look()
    expect(stalledS()).toBe(0)
    pass(5_000)
    expect(stalledS()).toBe(5)
  })
})

describe('what waits in Kafka while nothing is in hand', () => {
  let asked: bigint[]
  let answer: (at: Progress) => Head
  let lagging: readonly OwnedPartition[]
  let tick: () => void

  beforeEach(() => {
    asked = []
    answer = () => ({ timestampMs: 777 })
    lagging = []
    const reader = {
      async headAt(at: Progress) {
        asked.push(at.nextOffset)
        return answer(at)
      },
    }
    tick = pollHeads({ reader, views, clock })
  })

  async function pass(ms: number): Promise<void> {
    for (const end = nowMs + ms; nowMs < end; nowMs += 250) {
      for (const partition of partitions) ends(partition, lagging.includes(partition))
      tick()
      await new Promise(resolve => setImmediate(resolve))
    }
  }
  const timestampOf = (partition = one()) => headTimestampMs(viewOf(partition))

  it('is asked for once, after a moment in which it may come by itself, and again when progress has moved', async () => {
    lagging = [one()]
    await pass(1_500)
    expect(asked).toEqual([])
    await pass(60_000)
    expect(asked).toEqual([10n])
    expect(timestampOf()).toBe(777)
    expect(timestampOf(partitions[1])).toBeUndefined()
    // When the record is settled, its timestamp is nobody's
    receive(one(), 10n)
    const batch = one().take(LIMITS, nowMs)
    if (batch !== undefined) one().finish(batch, true, nowMs)
    expect(timestampOf()).toBeUndefined()
    await pass(10_000)
    expect(asked).toEqual([10n, 11n])
  })

  it('is not asked for where records are in hand, or there is no lag', async () => {
    receive(one(), 10n)
    lagging = [one()]
    await pass(60_000)
    expect(asked).toEqual([])
  })

  it('is asked for again, seldom, where there was no answer', async () => {
    lagging = partitions
    answer = () => {
      throw new Error('Kafka is away')
    }
    await pass(60_000)
    expect(asked.length).toBeGreaterThan(6)
    expect(asked.length).toBeLessThan(16)
    answer = () => ({ timestampMs: 778 })
    await pass(12_000)
    expect(partitions.map(partition => timestampOf(partition))).toEqual([778, 778])
  })

  it('is nothing up to where no record stands, until the partition has grown beyond it', async () => {
    lagging = [one()]
    answer = () => ({ emptyTo: 13n })
    await pass(2_500)
    expect(readTo(viewOf())).toBe(13n)
    expect(timestampOf()).toBeUndefined()
    expect(emptyAhead(viewOf())).toBe(13n)
    lagging = []
    await pass(60_000)
    expect(asked).toEqual([10n])
    // When more stands there, it is looked at again, from where progress is
    lagging = [one()]
    answer = () => ({ timestampMs: 779 })
    await pass(4_000)
    expect(asked).toEqual([10n, 10n])
    expect(readTo(viewOf())).toBe(10n)
    expect(timestampOf()).toBe(779)
  })
})

it('asks for watermarks by two questions at a time, however long the answers take', async () => {
  let open = 0
  let most = 0
  let answered = 0
  const answers: (() => void)[] = []
  own(
    Array.from({ length: 20 }, (_, partition) => createOwnedPartition({ topic: 'orders', partition, nextOffset: 0n })),
  )
  const tripped: unknown[] = []
  const broker = { trip: (error: unknown) => tripped.push(error) } as Partial<Breaker> as Breaker
  const tick = pollMarks({
    source: {
      watermarks({ partition }) {
        most = Math.max(most, ++open)
        return new Promise((resolve, reject) =>
          answers.push(() => {
            open -= 1
            if (partition % 2 === 0) resolve({ low: 0n, high: 5n })
            else reject(new BrokerUnavailableError('away'))
          }),
        )
      },
    },
    views,
    clock,
    broker,
  })
  async function turn(): Promise<void> {
    tick()
    nowMs += 100
    await new Promise(resolve => setImmediate(resolve))
  }
  for (let i = 0; i < 200; i++) await turn()
  expect(answers).toHaveLength(2)
  while (answered < 20) {
    const next = answers.shift()
    if (next !== undefined) answered += 1
    next?.()
    await turn()
  }
  expect(most).toBe(2)
  expect([...views.all()].map(({ marks }) => marks?.high)).toEqual(
    partitions.map(({ partition }) => (partition % 2 === 0 ? 5n : undefined)),
  )
  expect(tripped).toHaveLength(10)
})

it('asks again when it is time to, and not while a question is open, nor less because one failed', async () => {
  const answers: PromiseWithResolvers<void>[] = []
  const tick = askAgain(clock, 5_000, () => {
    const answer = Promise.withResolvers<void>()
    answers.push(answer)
    return answer.promise
  })
  async function pass(ms: number): Promise<void> {
    for (const end = nowMs + ms; nowMs < end; nowMs += 1_000) {
      tick()
      await new Promise(resolve => setImmediate(resolve))
    }
  }
  await pass(60_000)
  expect(answers).toHaveLength(1)
  answers[0]?.reject(new Error('the store is away'))
  await pass(2_000)
  expect(answers).toHaveLength(2)
  answers[1]?.resolve()
  await pass(4_000)
  expect(answers).toHaveLength(2)
  await pass(1_000)
  expect(answers).toHaveLength(3)
})

it('keeps what the broker said for the next assignment of a partition, and nothing else', () => {
  const { topic, partition } = one()
  ends(one(), true)
  requestReposition(viewOf(), 'unreadable')
  const before = viewOf()
  const successor = createOwnedPartition({ topic, partition, nextOffset: 10n })
  views.leave(one().key)
  views.enter(successor)
  expect(views.of(one())).toBeUndefined()
  expect(views.of(successor)).toMatchObject({ marks: before.marks, repositionFor: undefined })

  // What comes for the assignment that is over changes nothing
  requestReposition(before, 'outside_of_log')
  expect(views.of(successor)?.repositionFor).toBeUndefined()

  // Once it is no longer ours, nothing is known of it
  views.leave(successor.key)
  views.forget(successor.key)
  const later = createOwnedPartition({ topic, partition, nextOffset: 10n })
  views.enter(later)
  expect(views.of(later)?.marks).toBeUndefined()
})

it('looks at what stands there first where one of several reasons to begin again calls for that', () => {
  requestReposition(viewOf(), 'run_ended')
  requestReposition(viewOf(), 'fetch_failed')
  requestReposition(viewOf(), 'outside_of_log')
  expect(viewOf().repositionFor).toBe('fetch_failed')
})
