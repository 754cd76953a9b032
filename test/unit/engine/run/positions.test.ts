import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  BrokerUnavailableError,
  PartitionUnavailableError,
  StoreContendedError,
  StoreMisconfiguredError,
  StoreUnavailableError,
} from '#src/engine/errors.ts'
import { livenessOf, readinessOf } from '#src/engine/health.ts'
import { aPipeline, fastClock, GROUP, type Harness, P0, until, valuesOf } from '../../../support/pipeline-harness.ts'

const clock = fastClock(100)
const P1 = { topic: 'orders', partition: 1 }
let running: Harness[] = []

afterEach(async () => {
  for (const { pipeline } of running.splice(0)) await pipeline.stop()
  running = []
})

function run(over: Parameters<typeof aPipeline>[0] = {}): Harness {
  const harness = aPipeline({ clock, ...over })
  running.push(harness)
  return harness
}

/** Three records settled and committed. */
async function aSettledStream(over: Parameters<typeof aPipeline>[0] = {}): Promise<Harness> {
  const harness = run(over)
  harness.source.append(0, 'a:1', 'b:1', 'a:2')
  harness.source.give(0)
  void harness.pipeline.run()
  await until(() => harness.source.commits.get(0) === 3n, 'the commit')
  return harness
}

const ALL = { a: 'a:2', b: 'b:1' }
const rangesOf = ({ store }: Harness) => store.ledger.map(({ from, to, skipped = 0n }) => [from, to, skipped])

/** The database goes back to a state in which it knew nothing of the partition. */
function failOver({ store }: Harness): void {
  store.loseProgress(P0, GROUP)
  ;(store.rows as Map<string, unknown>).clear()
}

describe('a progress row that is gone', () => {
  it('is noticed where nothing comes, called what it is, and all is read again', async () => {
    const harness = await aSettledStream()
    failOver(harness)
    await until(() => harness.store.progressOf(P0, GROUP) === 3n, 'all of it, once more')
    expect(valuesOf(harness.store.rows)).toEqual(ALL)
    // While time goes by so fast, a second look may come before the first one is acted upon.
    const removed = harness.of('progress_removed')
    expect(removed.length).toBeGreaterThan(0)
    for (const fact of removed) expect(fact).toMatchObject({ partition: P0, from: 3n })
    expect([...harness.of('progress_set_back'), ...harness.of('ownership_lost')]).toEqual([])
  })

  it('is noticed by the next batch, called what it is, and no other consumer is blamed', async () => {
    // (not so fast, so that nobody has looked before the batch comes)
    const harness = await aSettledStream({ clock: fastClock(1) })
    failOver(harness)
    harness.source.append(0, 'c:1')
    await until(() => harness.store.progressOf(P0, GROUP) === 4n, 'all of it, once more')
    expect(valuesOf(harness.store.rows)).toEqual({ ...ALL, c: 'c:1' })
    expect(harness.of('progress_removed')).toMatchObject([{ partition: P0, from: 3n }])
    expect(harness.of('ownership_lost')).toEqual([])
  })

  it('is missed at the start, and all is read again although the group has committed an offset', async () => {
    const first = await aSettledStream()
    await first.pipeline.stop()
    failOver(first)
    const { store } = first
    const source = first.source.successor()
    const second = run({ source, store })
    source.give(0)
    void second.pipeline.run()
    await until(() => store.progressOf(P0, GROUP) === 3n, 'all of it, once more')
    expect(valuesOf(store.rows)).toEqual(ALL)
    expect(second.of('progress_missing')).toMatchObject([{ partition: P0, from: 0n, committed: 3n }])
  })

  it('passes over nothing under a running stream, even if a group was to be taken over', async () => {
    const harness = await aSettledStream({ startAt: 'committed' })
    failOver(harness)
    await until(() => harness.store.progressOf(P0, GROUP) === 3n, 'all of it, once more')
    expect(rangesOf(harness).every(([, , skipped]) => skipped === 0n)).toBe(true)
    expect(valuesOf(harness.store.rows)).toEqual(ALL)
  })
})

it.each(['committed', 'latest'] as const)(
  'takes a group over at %s, and enters what that passes over',
  async startAt => {
    const first = await aSettledStream()
    await first.pipeline.stop()
    const source = first.source.successor()
    source.append(0, 'c:1')
    const second = run({ source, startAt })
    source.give(0)
    void second.pipeline.run()
    const start = startAt === 'committed' ? 3n : 4n
    await until(() => second.of('assigned').length === 1, 'the assignment')
    source.append(0, 'd:1')
    await until(() => second.store.progressOf(P0, GROUP) === 5n, 'what comes after')
    await until(() => source.commits.get(0) === 5n, 'its commit')
    expect(rangesOf(second)[0]).toEqual([0n, start, start])
    expect(Object.keys(valuesOf(second.store.rows))).toEqual(startAt === 'committed' ? ['c', 'd'] : ['d'])
  },
)

describe('a partition of an assignment for which Kafka does not answer', () => {
  const unready = ({ pipeline }: Harness) =>
    readinessOf(() => pipeline.status()).flatMap(({ check }) => (check().ok ? [] : [check().reason]))

  /** Of two partitions, one is asked about in vain, until it `recovers`. */
  function aStreamOfTwo(answer: () => Promise<never>): Harness & { recovers(): void } {
    const harness = run()
    const { source } = harness
    source.append(0, 'a:1')
    source.append(1, 'b:1', 'c:1')
    const asked = source.watermarks
    const spy = vi.spyOn(source, 'watermarks')
    spy.mockImplementation(at => (at.partition === 1 ? answer() : asked(at)))
    source.give(0, 1)
    void harness.pipeline.run()
    return { ...harness, recovers: () => spy.mockImplementation(asked) }
  }

  it.each([
    ['has no leader', () => Promise.reject(new PartitionUnavailableError('no broker leads this partition'))],
    ['gets no answer', () => new Promise<never>(() => {})],
  ])('waits alone when it %s, and is named', async (_, answer) => {
    const harness = aStreamOfTwo(answer)
    const { source, store, pipeline, of } = harness
    await until(() => source.commits.get(0) === 1n, 'the other one')
    await until(() => unready(harness).length > 0, 'not being ready')
    expect(unready(harness)).toEqual([expect.stringMatching(/^orders-1 cannot be read: /)])
    expect(livenessOf(() => pipeline.status(), { stuckAfterMs: 60_000, now: Date.now }).every(c => c.check().ok)).toBe(
      true,
    )
    expect(pipeline.status().partitions).toMatchObject([
      { partition: 0, paused: [] },
      { partition: 1, paused: ['position_unknown'], unreadable: expect.any(String) },
    ])
    expect(of('assigned').flatMap(({ positions }) => positions.map(({ partition }) => partition))).toEqual([0])
    expect(of('breaker_opened')).toEqual([])
    expect(store.works.filter(({ partition }) => partition === 1)).toEqual([])
    expect(source.paused).toEqual(new Set([1]))

    // And what comes for the other one flows on
    source.append(0, 'a:2')
    await until(() => source.commits.get(0) === 2n, 'what came since')
  })

  it('goes on by itself when Kafka answers, and has missed nothing', async () => {
    const harness = aStreamOfTwo(() => Promise.reject(new PartitionUnavailableError('no broker leads this partition')))
    await until(() => harness.source.commits.get(0) === 1n, 'the other one')
    harness.recovers()
    await until(() => harness.source.commits.get(1) === 2n, 'this one')
    expect(unready(harness)).toEqual([])
    expect(harness.source.paused.size).toBe(0)
    expect(harness.store.progressOf(P1, GROUP)).toBe(2n)
    expect(valuesOf(harness.store.rows)).toEqual({ a: 'a:1', b: 'b:1', c: 'c:1' })
  })

  it('can be taken away meanwhile', async () => {
    const harness = aStreamOfTwo(() => Promise.reject(new PartitionUnavailableError('no broker leads this partition')))
    await until(() => harness.source.commits.get(0) === 1n, 'the other one')
    await harness.source.takeAway(1)
    await until(() => unready(harness).length === 0, 'readiness')
    expect(harness.pipeline.status().partitions).toHaveLength(1)
  })
})

describe('an assignment that comes while Postgres is away', () => {
  const AWAY = new StoreUnavailableError('connection refused')

  /** Two partitions with records are assigned, and the store says nothing about them. */
  async function anAssignmentInAnOutage(away: (harness: Harness) => () => void): Promise<Harness & { back(): void }> {
    // (so that no wait between two attempts is as long as the bound)
    const harness = run({ retry: { initialMs: 100, maxMs: 1_000, maxAttempts: 3 } })
    harness.source.append(0, 'a:1')
    harness.source.append(1, 'b:1', 'c:1')
    const back = away(harness)
    harness.source.give(0, 1)
    void harness.pipeline.run()
    await until(() => harness.of('position_unknown').length === 2, 'the answer to the assignment')
    return { ...harness, back }
  }

  const refused = ({ store }: Harness) => {
    store.fail(AWAY)
    return () => store.fail(undefined)
  }
  const unanswered = ({ store }: Harness) => {
    const waits = new Set<() => void>()
    const spy = vi.spyOn(store, 'readProgress').mockImplementation(() => {
      return new Promise<never>((_, reject) => waits.add(() => reject(AWAY)))
    })
    return () => {
      spy.mockRestore()
      for (const end of waits) end()
    }
  }
  /** What is there can be read, and no progress row can be added: no breaker opens for that. */
  const locked = ({ store }: Harness) => {
    const spy = vi
      .spyOn(store, 'startProgress')
      .mockRejectedValue(new StoreContendedError('lock timeout', { sqlState: '55P03' }))
    return () => spy.mockRestore()
  }

  it.each([
    ['refuses', refused],
    ['says nothing', unanswered],
    ['is locked', locked],
  ])('is answered when it %s: nothing is read, and all of it goes on once it is back', async (_, away) => {
    const harness = await anAssignmentInAnOutage(away)
    const { source, store, pipeline } = harness
    await until(() => source.paused.size === 2, 'the pauses')
    expect(pipeline.status().member).toBe(true)
    for (const partition of pipeline.status().partitions)
      expect(partition).toMatchObject({ lagRecords: undefined, unreadable: expect.any(String) })
    expect(store.works).toEqual([])

    harness.back()
    await until(() => source.commits.get(0) === 1n && source.commits.get(1) === 2n, 'the commits')
    expect(valuesOf(store.rows)).toEqual({ a: 'a:1', b: 'b:1', c: 'c:1' })
    expect(rangesOf(harness).map(([from]) => from)).toEqual([0n, 0n])
    expect(source.paused.size).toBe(0)
  })

  it.each([
    ['refuses', refused],
    ['says nothing', unanswered],
  ])('can be taken away and given again when it %s', async (_, away) => {
    const harness = await anAssignmentInAnOutage(away)
    await harness.source.takeAway(1)
    expect(harness.pipeline.status().partitions).toHaveLength(1)
    harness.source.give(1)
    await until(() => harness.of('position_unknown').length === 3, 'the answer to the second assignment')
    harness.back()
    await until(() => harness.source.commits.get(1) === 2n, 'the commit')
    expect(harness.store.progressOf(P1, GROUP)).toBe(2n)
  })

  it.each(['Postgres', 'Kafka'])(
    'is answered in time, and goes on, where %s always takes longer than that',
    async who => {
      // (a fifth of a second here are 20 s to the stream)
      const slowly = () => new Promise<void>(resolve => setTimeout(resolve, 200))
      const readTopicId = async () => {
        if (who === 'Kafka') await slowly()
        return undefined
      }
      const harness = run({ readTopicId })
      const read = harness.store.readProgress
      vi.spyOn(harness.store, 'readProgress').mockImplementation(async (...asked) => {
        if (who === 'Postgres') await slowly()
        return await read(...asked)
      })
      harness.source.append(0, 'a:1')
      harness.source.give(0)
      void harness.pipeline.run()
      await until(() => harness.of('position_unknown').length === 1, 'the answer to the assignment')
      await until(() => harness.source.commits.get(0) === 1n, 'the commit')
      expect(harness.of('position_unknown')).toHaveLength(1)
      expect(harness.of('retry')).toEqual([])
    },
  )

  it('ends the stream where it turns out that the stream cannot go on', async () => {
    const harness = run()
    let refuse = (_: Error) => {}
    vi.spyOn(harness.store, 'readProgress').mockImplementation(() => new Promise((_, reject) => (refuse = reject)))
    harness.source.give(0)
    const ran = harness.pipeline.run()
    ran.catch(() => {})
    await until(() => harness.of('position_unknown').length === 1, 'the answer to the assignment')
    refuse(new StoreMisconfiguredError('a right is missing'))
    await expect(ran).rejects.toThrow('a right is missing')
  })
})

it('names a partition that loses its leader while it is read, after a while, and is ready when it has one again', async () => {
  const harness = await aSettledStream()
  const asked = harness.source.watermarks
  const spy = vi.spyOn(harness.source, 'watermarks')
  spy.mockRejectedValue(new PartitionUnavailableError('no broker leads this partition'))
  const readable = () => harness.pipeline.status().partitions[0]?.unreadable
  await until(() => readable() !== undefined, 'its being named')
  expect(harness.pipeline.status().partitions).toMatchObject([{ paused: [], lagRecords: undefined }])
  expect(harness.of('breaker_opened')).toEqual([])
  spy.mockImplementation(asked)
  await until(() => readable() === undefined, 'its being well')
})

it('starts although neither the committed offsets nor the id of the topic can be read, and asks for the id again', async () => {
  const readTopicId = vi.fn(async (): Promise<string> => {
    throw new BrokerUnavailableError('no answer')
  })
  const harness = run({ readTopicId })
  harness.source.append(0, 'a:1')
  vi.spyOn(harness.source, 'committed').mockRejectedValue(new BrokerUnavailableError('no coordinator'))
  await harness.store.startProgress(GROUP, { ...P0, nextOffset: 0n })
  await harness.store.identify(GROUP, [P0], 'another')
  harness.source.give(0)
  void harness.pipeline.run()
  await until(() => harness.source.commits.get(0) === 1n, 'the record')
  // When the id can be read, and is not the one in which progress counts
  readTopicId.mockResolvedValue('this one')
  await until(() => harness.pipeline.status().partitions[0]?.halted !== undefined, 'the halt')
  expect(harness.pipeline.status().partitions).toMatchObject([{ halted: expect.stringContaining('another one') }])
})
