import { describe, expect, it } from 'vitest'
import { StoreMisconfiguredError, StoreUnavailableError } from '#src/engine/errors.ts'
import type { Fact, PauseReason } from '#src/engine/facts.ts'
import { countOutcomes } from '#src/engine/outcome.ts'
import type { PartitionStatus, StreamStatus } from '#src/engine/status.ts'
import { createTimelineRecorder, STEP_MS, type TimelineStep } from '#src/engine/watch/timeline.ts'
import { startTimelineKeeper, type TimelineStore } from '#src/engine/watch/timeline-keeper.ts'

const NOW = 1_700_000_000_000

describe('a step of the time line', () => {
  it('counts what was settled since the step before, and looks at the lag when it ends', () => {
    const recorder = createTimelineRecorder('orders', () =>
      running([
        { partition: 0, lagRecords: 5, oldestUnsettledTimestampMs: NOW - 4_000 },
        { partition: 1, lagRecords: 7, oldestUnsettledTimestampMs: NOW - 9_000 },
        { partition: 2, lagRecords: undefined, oldestUnsettledTimestampMs: undefined },
      ]),
    )
    recorder.observe(settled(100, 3))
    recorder.observe(settled(20, 0))
    expect(recorder.take(NOW, NOW)).toEqual({
      ...{ stream: 'orders', atMs: NOW, settled: 120, deadLettered: 3, stops: [] },
      ...{ lagRecords: 12, lagSeconds: 9 },
    })
    expect(recorder.take(NOW + STEP_MS, NOW)).toMatchObject({ settled: 0, deadLettered: 0 })
  })

  it('names what stood still at its end or at any time in it, but for backpressure', () => {
    let shown = running([{ partition: 0, paused: ['backpressure'] }])
    const recorder = createTimelineRecorder('orders', () => shown)
    recorder.observe(paused(3, 'store_contended'))
    recorder.observe(paused(3, 'backpressure'))
    recorder.observe({ kind: 'breaker_opened', dependency: 'kafka', error: new Error('gone') })
    expect(recorder.take(NOW, NOW)?.stops).toEqual(['pause/store_contended/3', 'breaker/kafka'])
    expect(recorder.take(NOW, NOW)?.stops, 'which were over').toEqual([])
    shown = {
      ...running([
        { partition: 1, paused: ['storm_guard'] },
        { partition: 2, halted: 'another topic' },
      ]),
      breakers: [{ dependency: 'postgres', open: true, reason: 'no connection', sinceMs: NOW }],
    }
    expect(recorder.take(NOW, NOW)?.stops).toEqual(['breaker/postgres', 'pause/storm_guard/1', 'pause/halted/2'])
    shown = running([])
    expect(recorder.take(NOW, NOW)?.stops, 'which stood when the step began').toHaveLength(3)
    expect(recorder.take(NOW, NOW)?.stops).toEqual([])
    shown = { ...running([]), state: 'halted' }
    expect(recorder.take(NOW, NOW)?.stops).toEqual(['stream/halted'])
  })

  it('is not there while the process does not consume, and what ended meanwhile is not lost', () => {
    let shown: StreamStatus | undefined
    const recorder = createTimelineRecorder('orders', () => shown)
    expect(recorder.take(NOW, NOW)).toBeUndefined()
    recorder.observe(settled(5, 0))
    expect(recorder.take(NOW, NOW)).toMatchObject({ settled: 5, lagRecords: undefined, lagSeconds: undefined })
    shown = running([])
    expect(recorder.take(NOW, NOW)).toMatchObject({ settled: 0, stops: [] })
  })

  it('holds a bounded number of stops, however many partitions there are', () => {
    const many = Array.from({ length: 3_000 }, (_, partition) => ({ partition, paused: ['store_away'] as const }))
    expect(createTimelineRecorder('orders', () => running(many)).take(NOW, NOW)?.stops).toHaveLength(500)
  })
})

describe('the keeper of the time line', () => {
  it('writes a step of each stream when it ends, and asks for longer ones once a minute', async () => {
    const keeper = aKeeper()
    await keeper.pass(7)
    expect(keeper.written).toEqual(steps(0, 7))
    expect(keeper.rolledUpAtMs).toEqual([NOW + 6 * STEP_MS])
    await keeper[Symbol.asyncDispose]()
    expect(keeper.written, 'and the unfinished one at a stop').toEqual(steps(0, 8))
  })

  it('keeps steps while Postgres is away, and writes them when it is back: the outage is in the time line', async () => {
    const keeper = aKeeper()
    await keeper.pass(1)
    keeper.failWith(new StoreUnavailableError('gone'))
    await keeper.pass(3)
    expect(keeper.written).toEqual(steps(0, 1))
    keeper.failWith(undefined)
    await keeper.pass(1)
    expect(keeper.written).toEqual(steps(0, 5))
    expect(keeper.failures, 'an outage is reported elsewhere').toEqual([])
  })

  it('bounds what waits: the oldest give way, and are a gap', async () => {
    const keeper = aKeeper()
    keeper.failWith(new StoreUnavailableError('gone'))
    await keeper.pass(2_500)
    keeper.failWith(undefined)
    await keeper.pass(1)
    expect(keeper.written).toEqual(steps(341, 2_501))
    expect(Math.max(...keeper.sizes), 'in statements that are not large').toBe(360)
  })

  it('goes on ending steps on time while a write is not answered', async () => {
    const keeper = aKeeper()
    const answer = Promise.withResolvers<void>()
    keeper.answerAfter(answer.promise)
    await keeper.pass(4)
    expect(keeper.sizes, 'one write at a time').toEqual([1])
    answer.resolve()
    await keeper.pass(1)
    expect(keeper.written).toEqual(steps(0, 5))
  })

  it('writes no step twice when a timer fires some ms early: the second would replace what the first counted', async () => {
    const keeper = aKeeper()
    await keeper.pass(1, STEP_MS - 1)
    await keeper.pass(1, STEP_MS + 1)
    await keeper.pass(1)
    expect(keeper.written).toEqual(steps(0, 3))
  })

  it('reports what no later attempt resolves, and goes on', async () => {
    const keeper = aKeeper()
    const refused = new StoreMisconfiguredError('no such table')
    keeper.failWith(refused)
    await keeper.pass(2)
    expect(keeper.failures).toEqual([refused, refused])
  })
})

function running(partitions: readonly Partial<PartitionStatus>[]): StreamStatus {
  return {
    ...{ state: 'running', member: true, breakers: [] },
    partitions: partitions.map((partition, index) => ({
      ...{
        topic: 'orders',
        partition: index,
        next: 0n,
        high: 0n,
        lagRecords: 0,
        oldestUnsettledTimestampMs: undefined,
      },
      ...{ bufferedRecords: 0, inFlightRecords: 0, paused: [], lastProgressMs: undefined },
      ...partition,
    })),
  }
}

function settled(records: number, deadLettered: number): Fact {
  return {
    ...{ kind: 'batch_settled', partition: { topic: 'orders', partition: 0 }, to: 1n, records },
    counts: { ...countOutcomes([]), written: records - deadLettered, dead_lettered: deadLettered },
    stageSeconds: { validate: 0, divert: 0, write: 0 },
  }
}

function paused(partition: number, reason: PauseReason): Fact {
  return { kind: 'paused', partition: { topic: 'orders', partition }, reason }
}

/** Steps by number, of one stream. */
function steps(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => NOW + (from + index) * STEP_MS)
}

/** Time passes a step at a time; `written` has the beginnings of the steps. */
function aKeeper() {
  const written: number[] = []
  const sizes: number[] = []
  const rolledUpAtMs: number[] = []
  const failures: unknown[] = []
  let failure: Error | undefined
  let answered: Promise<void> = Promise.resolve()
  let nowMs = NOW
  let wake = () => {}
  const store: TimelineStore = {
    async write(some: readonly TimelineStep[]) {
      sizes.push(some.length)
      await answered
      if (failure !== undefined) throw failure
      written.push(...some.map(({ atMs }) => atMs))
    },
    async rollUp(atMs) {
      rolledUpAtMs.push(atMs)
    },
  }
  const keeper = startTimelineKeeper({
    recorders: [createTimelineRecorder('orders', () => running([]))],
    store,
    clock: {
      now: () => nowMs,
      sleep: (_ms, signal) =>
        new Promise(resolve => {
          wake = resolve
          signal?.addEventListener('abort', () => resolve())
        }),
    },
    onFailure: error => failures.push(error),
  })
  return {
    ...{ written, sizes, rolledUpAtMs, failures },
    failWith(error: Error | undefined) {
      failure = error
    },
    answerAfter(promise: Promise<void>) {
      answered = promise
    },
    async pass(count: number, stepMs = STEP_MS) {
      for (let step = 0; step < count; step++) {
        nowMs += stepMs
        wake()
        await new Promise(resolve => setImmediate(resolve))
      }
    },
    [Symbol.asyncDispose]: () => keeper[Symbol.asyncDispose](),
  }
}
