import { describe, expect, it, onTestFinished } from 'vitest'
import {
  BrokerUnavailableError,
  RecordRefusedError,
  StoreContendedError,
  StoreMisconfiguredError,
  StoreUnavailableError,
} from '#src/engine/errors.ts'
import type { DeadLetterSink } from '#src/engine/ports.ts'
import { checkRefusals, checkStorm } from '#src/engine/run/storm-guard.ts'
import { NO_STORM, type StartCounts } from '#src/engine/settlement.ts'
import { aDeadLetter } from '../../../support/orders.ts'
import { aPipeline, GROUP, type Harness, P0, until } from '../../../support/pipeline-harness.ts'
import { aRecord } from '../../../support/records.ts'

function start(harness: Harness): void {
  harness.pipeline.run().catch(() => {})
  onTestFinished(() => harness.pipeline.stop())
}

const progress = (harness: Harness) => harness.store.progressOf(P0, GROUP)
const range = <R>(count: number, of: (i: number) => R) => Array.from({ length: count }, (_, i) => of(i))

const REFUSED = new RecordRefusedError('a constraint is violated: column c of t (SQLSTATE 23502)', {
  sqlState: '23502',
})
const refuse = ({ value }: { readonly value: string }) => (value.endsWith(':poison') ? REFUSED : undefined)
const LARGE = { stormLimit: 1_000, batch: { maxRecords: 100, maxBytes: 1_000_000, lingerMs: 0 } }

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

  it('counts the batch that is in the store: not one dead letter beyond the limit is sent meanwhile', async () => {
    const harness = aPipeline({ stormLimit: 15 })
    const settle = harness.store.settle.bind(harness.store)
    const written = Promise.withResolvers<void>()
    harness.store.settle = async work => {
      await written.promise
      return await settle(work)
    }
    harness.source.append(0, ...range(40, () => 'bad'))
    harness.source.give(0)
    start(harness)
    await until(() => harness.sent.length > 10, 'dead letters of the second batch')
    written.resolve()
    await until(() => progress(harness) === 15n, 'progress up to the limit')
    expect(harness.sent).toHaveLength(15)
  })

  it('counts again from 0 after each valid record', async () => {
    const harness = aPipeline({ stormLimit: 3 })
    harness.source.append(0, ...range(30, i => (i % 3 === 2 ? `o${i}:1` : 'bad')))
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 30n, 'all of it')
    expect(harness.source.paused.size).toBe(0)
  })

  it.each([
    { when: 'the invalid one first', bad: 0 },
    { when: 'the valid one first', bad: 1 },
  ])('stops at a share of the last 1,000 records, once there are so many: every second one, $when', async ({ bad }) => {
    const harness = aPipeline({ stormLimit: 1_000, stormRatio: 0.5 })
    harness.source.append(0, ...range(2_000, i => (i % 2 === bad ? 'bad' : `o${i}:1`)))
    harness.source.give(0)
    start(harness)
    await until(() => harness.source.paused.has(0), 'the stop')
    await until(() => progress(harness) === 1_000n, 'progress up to the limit')
    expect(harness.sent).toHaveLength(500)
    expect(harness.pipeline.status().partitions[0]?.pausedBecause).toMatch(
      /^500 dead letters among its last 1,000 records/,
    )
  })

  it('does not mind a share just below it', async () => {
    const harness = aPipeline({ stormRatio: 0.5, batch: { maxRecords: 100, maxBytes: 1_000_000, lingerMs: 0 } })
    harness.source.append(0, ...range(5_000, i => (i % 1_000 < 499 ? 'bad' : `o${i}:1`)))
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 5_000n, 'all of it')
  })

  it('counts what the store refuses like what is invalid, in the order of the offsets', async () => {
    const harness = aPipeline({ stormLimit: 7, refuse })
    harness.source.append(0, 'a:1', ...range(60, i => (i % 2 === 0 ? 'bad' : `o${i}:poison`)), 'b:1')
    harness.source.give(0)
    start(harness)
    await until(() => harness.of('paused').length > 0, 'the stop')
    expect(progress(harness)).toBe(8n)
    expect(new Set([...harness.store.deadLetters.values()].map(({ record }) => record.offset))).toEqual(
      new Set(range(7, i => BigInt(i + 1))),
    )
    await until(() => harness.source.commits.get(0) === 8n, 'the commit')
  })

  it('stops before any is dead-lettered where the store refuses every record of a batch', async () => {
    const harness = aPipeline({ ...LARGE, refuse })
    harness.source.append(0, ...range(50, i => `o${i}:poison`))
    harness.source.append(1, 'x:1')
    harness.source.give(0, 1)
    start(harness)
    await until(() => harness.source.paused.has(0), 'the stop')
    await until(() => harness.source.commits.get(1) === 1n, 'the other partition')
    expect(harness.sent).toEqual([])
    expect(progress(harness)).toBe(0n)
    const stopped = harness.pipeline.status().partitions.find(({ partition }) => partition === 0)
    expect(stopped).toMatchObject({ paused: ['storm_guard'], next: 0n })
    expect(stopped?.pausedBecause).toContain('refused each of the last 50 records')
    expect(stopped?.pausedBecause).toContain('column c of t (SQLSTATE 23502)')
    expect(harness.of('paused')).toMatchObject([{ reason: 'storm_guard', because: stopped?.pausedBecause }])
  })

  it('tries again when an operator lifts that pause: it stops anew, or all of it is written', async () => {
    let mended = false
    const harness = aPipeline({ ...LARGE, refuse: () => (mended ? undefined : REFUSED) })
    harness.source.append(0, ...range(50, i => `o${i}:1`))
    harness.source.give(0)
    start(harness)
    await until(() => harness.of('paused').length === 1, 'the stop')
    harness.store.liftPause(P0, GROUP)
    await until(() => harness.of('paused').length === 2, 'the second stop')
    mended = true
    harness.store.liftPause(P0, GROUP)
    await until(() => progress(harness) === 50n, 'all of it')
    expect(harness.sent).toEqual([])
  })

  it('counts refusals over small batches, as long as no record passes, and holds the one that makes twenty', async () => {
    const harness = aPipeline({ stormLimit: 1_000, refuse, batch: { maxRecords: 6, maxBytes: 1_000_000, lingerMs: 0 } })
    harness.source.append(0, ...range(30, i => `o${i}:poison`))
    harness.source.give(0)
    start(harness)
    await until(() => harness.source.paused.has(0), 'the stop')
    expect(harness.store.deadLetters.size).toBe(18)
    expect(progress(harness)).toBe(18n)
  })

  it('blames single records for their refusal, however many there are, while others pass between them', async () => {
    const harness = aPipeline({ stormLimit: 1_000, refuse, batch: { maxRecords: 6, maxBytes: 1_000_000, lingerMs: 0 } })
    harness.source.append(0, ...range(120, i => (i % 19 === 18 ? `o${i}:1` : `o${i}:poison`)))
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 120n, 'all of it')
    expect(harness.source.paused.size).toBe(0)
  })

  it('counts redriven records for neither: they are no dead letters, and no success', () => {
    const rules = { maxConsecutive: 5, ratio: 0 }
    const record = (offset: number) => aRecord({ offset: BigInt(offset) })
    const letter = (offset: number, redriven: boolean) => ({
      ...aDeadLetter(BigInt(offset)),
      redriveId: redriven ? 'r1' : undefined,
    })
    const records = range(60, record)
    const again = range(40, i => letter(i, true))
    expect(checkStorm(records, again, new Set(range(20, i => BigInt(40 + i))), NO_STORM, rules)).toEqual({
      keep: 60,
      tally: NO_STORM,
      pause: undefined,
    })
    // Four dead letters, a redriven one that passes, and the fifth.
    const four = range(4, i => letter(i, false))
    const check = checkStorm(range(10, record), [...four, letter(5, false)], new Set([4n]), NO_STORM, rules)
    expect(check).toMatchObject({ keep: 6, tally: { deadLettersInARow: 5, recent: '11111' } })
    const refused = (redriven: boolean) =>
      range(20, i => ({
        ...letter(i, redriven),
        rejection: { ...letter(i, redriven).rejection, reason: 'store_rejected' as const },
      }))
    expect(checkRefusals(refused(true), NO_STORM, rules)).toBeUndefined()
    expect(checkRefusals(refused(false), NO_STORM, rules)?.because).toContain('last 20 records')
    expect(checkRefusals(refused(false).slice(1), NO_STORM, rules)).toBeUndefined()
  })

  it('remembers over a restart what it has counted', async () => {
    const first = aPipeline({ stormLimit: 5 })
    first.source.append(0, ...range(4, () => 'bad'))
    first.source.give(0)
    start(first)
    await until(() => progress(first) === 4n, 'four')
    expect((await first.store.readProgress(GROUP, [P0]))[0]?.storm).toEqual({
      deadLettersInARow: 4,
      refusedInARow: 0,
      recent: '1111',
    })
  })

  it('does not stop for refusals when it is off', async () => {
    const harness = aPipeline({ ...LARGE, stormLimit: 0, refuse })
    harness.source.append(0, ...range(50, i => `o${i}:poison`))
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 50n, 'all of it')
    expect(harness.store.deadLetters.size).toBe(50)
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
      (await readProgress(group, partitions)).map(row => ({ ...row, pause: { reason: 'storm_guard', because: 'x' } }))
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
function aCount(start: Partial<Awaited<ReturnType<StartCounts['noteStart']>>>) {
  const suspects: bigint[] = []
  const takenBack: number[] = []
  let noted: bigint | undefined
  const counts: StartCounts = {
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
  return { counts, suspects, takenBack, noted: () => noted }
}

describe('the crash guard', () => {
  it('takes whole batches as long as starts come to something', async () => {
    const { counts, suspects } = aCount({ starts: 3 })
    const harness = aPipeline({ startCounts: counts, crashLoopMaxStarts: 5 })
    harness.source.append(0, 'a:1', 'b:1')
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 2n, 'progress')
    expect(harness.store.ledger).toHaveLength(1)
    expect(suspects).toEqual([])
  })

  it('takes records one by one after a series of starts without progress, each noted before it is touched', async () => {
    const { counts, suspects } = aCount({ starts: 4 })
    const judged: bigint[] = []
    const harness = aPipeline({
      startCounts: counts,
      crashLoopMaxStarts: 5,
      judge(record) {
        expect(suspects.at(-1)).toBe(record.offset)
        judged.push(record.offset)
        return { ok: true, key: `o${record.offset}`, value: 'v' }
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
    const { counts } = aCount({ starts: 6, suspect: 0n, deaths: 2 })
    const harness = aPipeline({
      startCounts: counts,
      crashLoopMaxStarts: 5,
      judge(record) {
        if (record.offset === 0n) throw new Error('it was looked at')
        return { ok: true, key: 'b', value: 'b:1' }
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
    const { counts } = aCount({ starts: 5, suspect: 0n, deaths: 1 })
    const harness = aPipeline({ startCounts: counts, crashLoopMaxStarts: 5 })
    harness.source.append(0, 'a:1')
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 1n, 'progress')
    expect(harness.sent).toEqual([])
  })

  it('condemns no other record than the suspect, and not what it finds in its place', async () => {
    const { counts } = aCount({ starts: 6, suspect: 1n, deaths: 2 })
    const harness = aPipeline({ startCounts: counts, crashLoopMaxStarts: 5 })
    harness.source.append(0, 'a:1')
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 1n, 'progress')
    expect(harness.sent).toEqual([])
  })

  it('lets nothing else be in hand while a suspect is processed', async () => {
    const { counts } = aCount({ starts: 4 })
    const inHand = new Set<number>()
    let most = 0
    const harness = aPipeline({ startCounts: counts, crashLoopMaxStarts: 5 })
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
    const { counts, suspects, noted } = aCount({ starts: 4 })
    const harness = aPipeline({ startCounts: counts, crashLoopMaxStarts: 5 })
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
    const { counts, noted } = aCount({ starts: 14 })
    const harness = aPipeline({ startCounts: counts, crashLoopMaxStarts: 5 })
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
    const { counts } = aCount({ starts: 4 })
    const harness = aPipeline({ startCounts: counts, crashLoopMaxStarts: 5 })
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
    const { counts, takenBack } = aCount({})
    const harness = aPipeline({ startCounts: counts, crashLoopMaxStarts: 5 })
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
      if (locked && work.partition < 2) throw new StoreContendedError('a lock', { sqlState: '55P03' })
      return await settle(work)
    }
    for (let partition = 0; partition < 6; partition++) {
      harness.source.append(partition, ...range(30, i => `${partition}-${i}:1`))
    }
    harness.source.give(0, 1, 2, 3, 4, 5)
    start(harness)
    await until(() => [2, 3, 4, 5].every(i => harness.source.commits.get(i) === 30n), 'the four others')
    expect(progress(harness) ?? 0n).toBe(0n)
    // As many wait as there are places
    expect(harness.pipeline.status().partitions.map(({ paused }) => paused)).toEqual([
      ['store_contended'],
      ['store_contended'],
      ...range(4, () => '').map(() => []),
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
