import { describe, expect, it } from 'vitest'
import { FILL_MS } from '#src/engine/batch.ts'
import { createOwnedPartition } from '#src/engine/run/partition.ts'
import { createReception, type ReceptionParts } from '#src/engine/run/receive.ts'
import { createViews } from '#src/engine/watch/view.ts'
import { createMemorySource } from '../../../support/memory-source.ts'
import { aRecord } from '../../../support/records.ts'

const never = new Promise<never>(() => {})
const records = [0n, 1n, 2n].map(offset => aRecord({ offset }))

function aReception(over: Partial<ReceptionParts> = {}) {
  return createReception({
    views: createViews(),
    source: createMemorySource(),
    startRun: () => ({ wake() {}, stop() {}, ended: never, left: never }),
    observer: { observe() {} },
    maxRecords: 3,
    maxBytes: 1_000_000,
    limits: { maxRecords: 3, maxBytes: 1_000_000, lingerMs: 5 },
    storeAway: () => false,
    overfull: () => false,
    ...over,
  })
}

it('does not count what a partition holds that waits: the others flow on', () => {
  const reception = aReception()
  const partition = createOwnedPartition({ topic: 'orders', partition: 0, nextOffset: 0n })
  reception.add(partition)
  reception.route(records, 0, false)
  expect(reception.full()).toBe(true)
  partition.waitsForOperator = { reason: 'storm_guard', because: 'too many' }
  reception.applyPauses(0)
  expect(reception.full()).toBe(false)
})

it('drops records of a partition whose position is not known', () => {
  const reception = aReception()
  const unlocated = new Error('no leader')
  const partition = createOwnedPartition({ topic: 'orders', partition: 0, nextOffset: 0n, unlocated })
  reception.add(partition)
  reception.route(records, 0, false)
  expect(partition.bufferedRecords).toBe(0)
})

describe('a batch that is not full', () => {
  const limits = { maxRecords: 10, maxBytes: 1_000_000, lingerMs: 5 }
  const inPartition = (partition: number, count: number, from = 0n) =>
    Array.from({ length: count }, (_, i) => aRecord({ partition, offset: from + BigInt(i) }))

  /** Partitions whose logs hold so many records; none is read yet. */
  function partitionsOf(ends: readonly number[], over: Partial<ReceptionParts> = {}) {
    const source = createMemorySource()
    const reception = aReception({ source, limits, maxRecords: 20, ...over })
    const partitions = ends.map((end, partition) => {
      source.append(partition, ...Array.from({ length: end }, () => 'a:1'))
      return createOwnedPartition({ topic: 'orders', partition, nextOffset: 0n })
    })
    for (const partition of partitions) reception.add(partition)
    return { reception, partitions }
  }

  it('waits for more where the log holds it, and for the linger alone where it does not', () => {
    const { reception, partitions } = partitionsOf([5, 4])
    reception.route([...inPartition(0, 4), ...inPartition(1, 4)], 1_000, true)
    const [more, all] = partitions
    expect(more?.dueAt(limits)).toBe(1_000 + FILL_MS)
    expect(more?.isDue(limits, 1_100)).toBe(false)
    expect(all?.dueAt(limits)).toBe(1_005)
  })

  it('counts from when the batch before it was taken', () => {
    const { reception, partitions } = partitionsOf([30])
    reception.route(inPartition(0, 14), 1_000, true)
    const [partition] = partitions
    expect(partition?.isDue(limits, 1_000)).toBe(true)
    expect(partition?.take(limits, 2_000)?.records).toHaveLength(10)
    expect(partition?.dueAt(limits)).toBe(2_000 + FILL_MS)
    expect(partition?.take(limits, 2_300)?.records).toHaveLength(4)
    reception.route(inPartition(0, 3, 14n), 2_400, true)
    expect(partition?.dueAt(limits)).toBe(2_400 + FILL_MS)
    partition?.take(limits, 2_700)
    reception.route(inPartition(0, 6, 17n), 2_800, true)
    partition?.take(limits, 3_100)
    reception.route(inPartition(0, 7, 23n), 3_200, true)
    expect(partition?.dueAt(limits)).toBe(3_205)
  })

  it('wakes its run when the client holds no more: it is due sooner then', () => {
    const woken: string[] = []
    const startRun: ReceptionParts['startRun'] = ({ key }) => ({
      wake: () => woken.push(key),
      stop() {},
      ended: never,
      left: never,
    })
    const { reception, partitions } = partitionsOf([50, 50, 50], { startRun })
    reception.route([...inPartition(0, 4), ...inPartition(1, 4)], 1_000, true)
    woken.length = 0
    reception.route(inPartition(1, 2, 4n), 1_100, false)
    expect(woken.toSorted()).toEqual(['orders-0', 'orders-1'])
    expect(partitions.map(partition => partition.dueAt(limits))).toEqual([1_050, 1_150, undefined])
  })

  it('does not wait once the buffers are full of such batches: the larger ones go', () => {
    const { reception, partitions } = partitionsOf([100, 100, 100])
    reception.route([...inPartition(0, 9), ...inPartition(1, 8), ...inPartition(2, 3)], 1_000, true)
    expect(reception.full()).toBe(true)
    reception.stopFilling()
    expect(partitions.map(partition => partition.isDue(limits, 1_010))).toEqual([true, true, false])
    partitions[0]?.take(limits, 1_010)
    reception.route(inPartition(0, 4, 9n), 1_020, true)
    expect(partitions[0]?.dueAt(limits)).toBe(1_020 + FILL_MS)
  })

  it('goes on filling behind a full one, which makes room as well', () => {
    const { reception, partitions } = partitionsOf([100, 100])
    reception.route([...inPartition(0, 12), ...inPartition(1, 8)], 1_000, true)
    expect(reception.full()).toBe(true)
    reception.stopFilling()
    expect(partitions.map(partition => partition.isDue(limits, 1_100))).toEqual([true, false])
  })

  it('is due at once when its records were given back by a batch that was cut', () => {
    const { reception, partitions } = partitionsOf([100])
    reception.route(inPartition(0, 10), 1_000, true)
    const [partition] = partitions
    const batch = partition?.take(limits, 1_000)
    if (batch !== undefined) partition?.giveBack(batch, 1)
    expect(partition?.isDue(limits, 1_000)).toBe(true)
  })
})
