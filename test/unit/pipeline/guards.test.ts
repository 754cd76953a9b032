import { describe, expect, it, onTestFinished } from 'vitest'
import {
  BrokerUnavailableError,
  StoreContendedError,
  StoreMisconfiguredError,
  StoreUnavailableError,
} from '#src/core/errors.ts'
import type { DeadLetterSink, StartBook } from '#src/core/ports.ts'
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
  const takenBack: number[] = []
  let noted: bigint | undefined
  const book: StartBook = {
    noteStart: async () => ({ starts: 1, suspect: undefined, deaths: 0, ...start }),
    async noteSuspect(_group, _partition, offset) {
      suspects.push(offset)
      noted = offset
    },
    async clearSuspect(_group, { partition }, { start }) {
      noted = undefined
      if (start) takenBack.push(partition)
    },
  }
  return { book, suspects, takenBack, noted: () => noted }
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

  it('suspects a record while it is judged, and not while it waits for the store', async () => {
    const { book, suspects, noted } = aBook({ starts: 4 })
    const harness = aPipeline({ startBook: book, crashLoopMaxStarts: 5 })
    harness.source.give(0)
    start(harness)
    await until(() => harness.of('assigned').length === 1, 'the assignment')
    const settle = harness.store.settle.bind(harness.store)
    const inTheStore: (bigint | undefined)[] = []
    harness.store.settle = async work => {
      inTheStore.push(noted())
      return await settle(work)
    }
    harness.store.fail(new StoreUnavailableError('away'))
    harness.source.append(0, 'a:1')
    await until(() => harness.of('retry').length > 0, 'a failed write')
    expect(suspects).toEqual([0n])
    expect(noted()).toBeUndefined()
    harness.store.fail(undefined)
    await until(() => progress(harness) === 1n, 'progress')
    expect(new Set(inTheStore)).toEqual(new Set([undefined]))
  })

  it('suspects it throughout where many more starts have come to nothing, and gives way between two attempts', async () => {
    const { book, noted } = aBook({ starts: 14 })
    const harness = aPipeline({ startBook: book, crashLoopMaxStarts: 5 })
    const settle = harness.store.settle.bind(harness.store)
    const inTheStore: (bigint | undefined)[] = []
    harness.store.settle = async work => {
      inTheStore.push(noted())
      return await settle(work)
    }
    harness.store.failNext('settle', new StoreUnavailableError('away'))
    let between: bigint | undefined
    const probe = harness.store.probe.bind(harness.store)
    harness.store.probe = async () => {
      between = noted()
      await probe()
    }
    harness.source.append(0, 'a:1')
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 1n, 'progress')
    expect(inTheStore).toEqual([0n, 0n])
    expect(between).toBeUndefined()
  })

  it('keeps no other partition from working while its record waits for the store', async () => {
    const { book } = aBook({ starts: 4 })
    const harness = aPipeline({ startBook: book, crashLoopMaxStarts: 5 })
    const settle = harness.store.settle.bind(harness.store)
    let locked = true
    harness.store.settle = async work => {
      if (locked && work.partition === 0) throw new StoreContendedError('a lock', { sqlState: '55P03' })
      return await settle(work)
    }
    harness.source.append(0, 'a:1')
    harness.source.append(1, 'x:1', 'y:1')
    harness.source.give(0, 1)
    start(harness)
    await until(() => harness.source.commits.get(1) === 2n, 'the other partition')
    locked = false
    await until(() => progress(harness) === 1n, 'progress')
  })

  it('does not count a start that this process has ended itself', async () => {
    const { book, takenBack } = aBook({})
    const harness = aPipeline({ startBook: book, crashLoopMaxStarts: 5 })
    harness.store.failNext('settle', new StoreMisconfiguredError('a column is missing'))
    harness.source.append(0, 'a:1')
    harness.source.give(0)
    await expect(harness.pipeline.run()).rejects.toThrow('a column is missing')
    expect(takenBack).toEqual([0])
  })
})

describe('a batch that waits', () => {
  it('holds up its own partition, and gives its place in the store to the others', async () => {
    const harness = aPipeline({ lanes: 1 })
    const settle = harness.store.settle.bind(harness.store)
    let locked = true
    harness.store.settle = async work => {
      if (locked && work.partition === 0) throw new StoreContendedError('a lock', { sqlState: '55P03' })
      return await settle(work)
    }
    for (let partition = 0; partition < 6; partition++) {
      harness.source.append(partition, ...range(30, i => `${partition}-${i}:1`))
    }
    harness.source.give(0, 1, 2, 3, 4, 5)
    start(harness)
    await until(() => [1, 2, 3, 4, 5].every(i => harness.source.commits.get(i) === 30n), 'the five others')
    expect(progress(harness) ?? 0n).toBe(0n)
    expect(harness.pipeline.status().partitions.map(({ paused }) => paused)).toEqual([
      ['store_contended'],
      ...range(5, () => '').map(() => []),
    ])
    // No longer than two seconds, whatever RETRY_MAX_MS says; the harness's chance is one half
    expect(Math.max(...harness.of('retry').map(({ delayMs }) => delayMs))).toBeLessThanOrEqual(1_000)
    locked = false
    await until(() => progress(harness) === 30n, 'its own')
    await until(() => harness.source.paused.size === 0, 'no pause')
  })

  it('is the same where its partition of the dead-letter topic is away', async () => {
    const sink: DeadLetterSink = {
      async send({ record: { partition } }) {
        if (partition === 0) throw new BrokerUnavailableError('no leader')
        return { partition, offset: 0n }
      },
      probe: async () => {},
    }
    const harness = aPipeline({ lanes: 1, sink, drainTimeoutMs: 20 })
    for (const partition of [0, 1, 2]) harness.source.append(partition, ...range(20, () => 'bad'))
    harness.source.give(0, 1, 2)
    start(harness)
    await until(() => [1, 2].every(partition => harness.source.commits.get(partition) === 20n), 'the others')
    expect(progress(harness) ?? 0n).toBe(0n)
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
