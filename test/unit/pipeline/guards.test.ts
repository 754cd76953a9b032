import { describe, expect, it, onTestFinished } from 'vitest'
import { StoreUnavailableError } from '#src/core/errors.ts'
import type { StartBook } from '#src/core/ports.ts'
import { aPipeline, GROUP, type Harness, P0, until } from '../../support/pipeline-harness.ts'

function start(harness: Harness): void {
  harness.pipeline.run().catch(() => {})
  onTestFinished(() => harness.pipeline.stop())
}

const progress = (harness: Harness) => harness.store.progressOf(P0, GROUP)
const range = (count: number, text: (i: number) => string) => Array.from({ length: count }, (_, i) => text(i))

describe('the storm guard', () => {
  it('stops the partition exactly at the limit, across batches, and says why', async () => {
    const harness = aPipeline({ stormLimit: 25 })
    harness.source.append(0, 'a:1', ...range(100, () => 'bad'))
    harness.source.append(1, 'x:1')
    harness.source.give(0, 1)
    start(harness)
    await until(() => harness.source.paused.has(0), 'the stop')
    await until(() => progress(harness) === 26n, 'progress up to the limit')
    expect(harness.sent).toHaveLength(25)
    expect(harness.store.deadLetters.size).toBe(25)
    expect(harness.pipeline.status().partitions.find(({ partition }) => partition === 0)?.paused).toEqual([
      'storm_guard',
    ])
    harness.source.append(1, 'y:1')
    await until(() => harness.source.commits.get(1) === 2n, 'the other partition')
    expect(progress(harness)).toBe(26n)
  })

  it('counts again from 0 after each valid record', async () => {
    const harness = aPipeline({ stormLimit: 3 })
    harness.source.append(0, ...range(30, i => (i % 3 === 2 ? `o${i}:1` : 'bad')))
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 30n, 'all of it')
    expect(harness.source.paused.size).toBe(0)
  })

  it('goes on where it stopped when an operator lifts the pause, and loses nothing', async () => {
    const harness = aPipeline({ stormLimit: 5 })
    harness.source.append(0, ...range(5, () => 'bad'), 'a:1', 'bad', 'b:1')
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 5n, 'the stop')
    harness.store.liftPause(P0, GROUP)
    await until(() => progress(harness) === 8n, 'the rest')
    expect([...harness.store.rows.keys()]).toEqual(['a', 'b'])
  })

  it('holds over a restart', async () => {
    const harness = aPipeline({ stormLimit: 5 })
    harness.store.moveProgress(P0, GROUP, 0n)
    const readProgress = harness.store.readProgress.bind(harness.store)
    harness.store.readProgress = async (group, partitions) =>
      (await readProgress(group, partitions)).map(row => ({ ...row, pausedFor: 'storm_guard' as const }))
    harness.source.append(0, 'a:1')
    harness.source.give(0)
    start(harness)
    await until(() => harness.source.paused.has(0), 'the pause')
    expect(progress(harness)).toBe(0n)
  })

  it('is off at 0', async () => {
    const harness = aPipeline({ stormLimit: 0 })
    harness.source.append(0, ...range(50, () => 'bad'))
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 50n, 'all of it')
  })
})

/** What the store remembers of starts, as a test wants it. */
function aBook(start: Partial<Awaited<ReturnType<StartBook['noteStart']>>>) {
  const suspects: bigint[] = []
  const cleared: number[] = []
  const book: StartBook = {
    noteStart: async () => ({ starts: 1, suspect: undefined, deaths: 0, ...start }),
    noteSuspect: async (_group, _partition, offset) => void suspects.push(offset),
    clearSuspect: async (_group, { partition }) => void cleared.push(partition),
  }
  return { book, suspects, cleared }
}

describe('the crash guard', () => {
  it('takes whole batches as long as starts come to something', async () => {
    const { book, suspects } = aBook({ starts: 3 })
    const harness = aPipeline({ startBook: book, crashLoopMaxStarts: 5 })
    harness.source.append(0, 'a:1', 'b:1')
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 2n, 'progress')
    expect(harness.store.ledger).toHaveLength(1)
    expect(suspects).toEqual([])
  })

  it('takes records one by one after a series of starts without progress, each noted before it is touched', async () => {
    const { book, suspects } = aBook({ starts: 4 })
    const judged: bigint[] = []
    const harness = aPipeline({
      startBook: book,
      crashLoopMaxStarts: 5,
      judge(record) {
        expect(suspects.at(-1)).toBe(record.offset)
        judged.push(record.offset)
        return { ok: true, uid: `o${record.offset}`, value: 'v' }
      },
    })
    harness.source.append(0, 'a:1', 'b:1', 'c:1')
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 3n, 'progress')
    expect(judged).toEqual([0n, 1n, 2n])
    expect(harness.store.ledger.map(({ from, to }) => [from, to])).toEqual([
      [0n, 1n],
      [1n, 2n],
      [2n, 3n],
    ])
  })

  it('sets the guilty record aside without looking at it, and the next one flows', async () => {
    const { book } = aBook({ starts: 6, suspect: 0n, deaths: 2 })
    const harness = aPipeline({
      startBook: book,
      crashLoopMaxStarts: 5,
      judge(record) {
        if (record.offset === 0n) throw new Error('it was looked at')
        return { ok: true, uid: 'b', value: 'b:1' }
      },
    })
    harness.source.append(0, 'killer', 'b:1')
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 2n, 'progress')
    expect(harness.sent).toMatchObject([{ record: { offset: 0n }, attempts: 2, rejection: { reason: 'crash_loop' } }])
    expect([...harness.store.rows.keys()]).toEqual(['b'])
  })

  it('does not condemn a suspect for a single death: it may have been an operator', async () => {
    const { book } = aBook({ starts: 5, suspect: 0n, deaths: 1 })
    const harness = aPipeline({ startBook: book, crashLoopMaxStarts: 5 })
    harness.source.append(0, 'a:1')
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 1n, 'progress')
    expect(harness.sent).toEqual([])
  })

  it('lets nothing else be in hand while a suspect is processed', async () => {
    const { book } = aBook({ starts: 4 })
    const inHand = new Set<number>()
    let most = 0
    const harness = aPipeline({ startBook: book, crashLoopMaxStarts: 5 })
    const settle = harness.store.settle.bind(harness.store)
    harness.store.settle = async work => {
      inHand.add(work.partition)
      most = Math.max(most, inHand.size)
      await new Promise<void>(resolve => setTimeout(resolve, 2))
      const settlement = await settle(work)
      inHand.delete(work.partition)
      return settlement
    }
    for (const partition of [0, 1, 2]) harness.source.append(partition, `p${partition}:1`, `q${partition}:1`)
    harness.source.give(0, 1, 2)
    start(harness)
    await until(() => harness.store.ledger.length === 6, 'all of it')
    expect(most).toBe(1)
  })

  it('clears a suspect that failed without killing anybody', async () => {
    const { book, cleared } = aBook({ starts: 4 })
    const harness = aPipeline({ startBook: book, crashLoopMaxStarts: 5, drainTimeoutMs: 20 })
    harness.source.give(0)
    start(harness)
    await until(() => harness.of('assigned').length === 1, 'the assignment')
    harness.store.fail(new StoreUnavailableError('away'))
    harness.source.append(0, 'a:1')
    await until(() => harness.of('retry').length > 0, 'a failed write')
    await harness.pipeline.stop()
    expect(cleared).toEqual([0])
  })
})

it('sets a batch aside after RETRY_MAX_ATTEMPTS when the policy for outages says so', async () => {
  const harness = aPipeline({ outagePolicy: 'dead-letter' })
  const away = new StoreUnavailableError('disk full', { sqlState: '53100' })
  harness.store.failNext('settle', away, away, away)
  harness.source.append(0, 'a:1', 'b:1')
  harness.source.give(0)
  start(harness)
  await until(() => progress(harness) === 2n, 'progress')
  expect(harness.sent.map(({ rejection }) => rejection.reason)).toEqual(['retries_exhausted', 'retries_exhausted'])
  expect(harness.store.rows.size).toBe(0)
  expect(harness.store.ledger).toMatchObject([{ records: 2, dead_lettered: 2 }])
})
