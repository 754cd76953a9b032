import { describe, expect, it } from 'vitest'
import { inAnotherTopic, missingDeadLetters, outsideOfTopic } from '#src/cli/proof-broker.ts'
import type { IndexedLetter, PartitionSums, Proof } from '#src/engine/postgres/proof.ts'
import type { SourceRecord } from '#src/engine/record.ts'
import { aHeader, aRecord } from '../../support/records.ts'

const NOTHING = { records: 0, written: 0, duplicate: 0, stale: 0, superseded: 0, dead_lettered: 0 }
const SUMS = { ...NOTHING, inserted: 0, gaps: 0, expired: 0, skipped: 0 }

function proofOf(partition: Pick<PartitionSums, 'accountedFrom' | 'nextOffset'>): Proof {
  const sums = { partition: 3, firstOffset: partition.accountedFrom, topicId: undefined, ...SUMS, ...partition }
  const rows = { tables: {}, deadLetters: 0 }
  return {
    topic: 'orders',
    groupId: 'g',
    partitions: [sums],
    totals: SUMS,
    rows,
    expired: [],
    skipped: [],
    findings: [],
    at: '2026-01-01 00:00:00+00',
    closed: [],
    from: undefined,
  }
}

describe('the ends of a partition', () => {
  it.each([
    { what: 'begins where the topic did', accountedFrom: 0n, nextOffset: 9n, low: 0n },
    { what: 'begins before what retention has left', accountedFrom: 2n, nextOffset: 9n, low: 5n },
    { what: 'ends where the topic ends', accountedFrom: 0n, nextOffset: 20n, low: 0n },
  ])('hold a group that $what', ({ accountedFrom, nextOffset, low }) => {
    expect(
      outsideOfTopic(proofOf({ accountedFrom, nextOffset }), undefined, new Map([[3, { low, high: 20n }]])),
    ).toEqual([])
  })

  it('find offsets that were never consumed, and say how they are read', () => {
    const proof = proofOf({ accountedFrom: 7n, nextOffset: 9n })
    const [finding, ...others] = outsideOfTopic(proof, undefined, new Map([[3, { low: 2n, high: 20n }]]))
    expect(others).toEqual([])
    expect(finding).toMatchObject({ partition: 3, offset: 2n })
    expect(finding?.what).toMatch(
      /^the offsets \[2, 7\) are in the topic, were never consumed.*seek --partition 3 --to 2/,
    )
  })

  it('find progress beyond them, as on another cluster', () => {
    const [finding] = outsideOfTopic(
      proofOf({ accountedFrom: 0n, nextOffset: 9n }),
      undefined,
      new Map([[3, { low: 0n, high: 0n }]]),
    )
    expect(finding).toMatchObject({ partition: 3, offset: 9n })
    expect(finding?.what).toMatch(/progress is at 9, but the partition ends at 0/)
  })

  it('say nothing of progress that counts in a topic which is another one now: that is a finding by itself', () => {
    const proof = proofOf({ accountedFrom: 7n, nextOffset: 9n })
    const counted = { ...proof, partitions: proof.partitions.map(sums => ({ ...sums, topicId: 'one' })) }
    const ends = new Map([[3, { low: 0n, high: 4n }]])
    expect(outsideOfTopic(counted, 'another', ends)).toEqual([])
    expect(inAnotherTopic(counted, 'another')).toHaveLength(1)
    expect(outsideOfTopic(counted, 'one', ends)).toHaveLength(2)
  })

  it('say nothing of a partition that could not be asked', () => {
    expect(outsideOfTopic(proofOf({ accountedFrom: 7n, nextOffset: 9n }), undefined, new Map())).toEqual([])
  })
})

describe('dead letters that the topic has not got', () => {
  const letter = (offset: bigint, dlq?: IndexedLetter['dlq']): IndexedLetter => {
    return { id: `orders-7-${offset}`, partition: 7, offset, dlq }
  }
  const missing = async (letters: readonly IndexedLetter[], lows: readonly bigint[], records: SourceRecord[] = []) => {
    const inspector = {
      partitions: async (topic: string) => lows.map((_, partition) => ({ topic, partition })),
      watermarks: async ({ partition }: { partition: number }) => ({ low: lows[partition] ?? 0n, high: 99n }),
      async *read() {
        yield* records
      },
    }
    const found = await missingDeadLetters(inspector, 'orders.dlq', new Map(letters.map(one => [one.id, one])))
    return found.map(({ what }) => what)
  }
  /** The topic had 6 partitions when the letters of partition 7 were written (into 1), and has 12 now. */
  const twelve = (shortened: number, low: bigint) => Array.from({ length: 12 }, (_, i) => (i === shortened ? low : 0n))

  it('are not missed where retention has taken them, however many partitions it has now', async () => {
    expect(await missing([letter(3n, { partition: 1, offset: 4n })], twelve(1, 5n))).toEqual([])
  })

  it('are found where retention has taken another partition, or not as much', async () => {
    const expected = ['the dead letter orders-7-3 is in the index, but not in the topic orders.dlq']
    expect(await missing([letter(3n, { partition: 1, offset: 4n })], twelve(7, 5n))).toEqual(expected)
    expect(await missing([letter(3n, { partition: 1, offset: 4n })], twelve(1, 4n))).toEqual(expected)
  })

  it('are not missed where nobody knows where they stood, and some were taken', async () => {
    expect(await missing([letter(3n)], twelve(2, 1n))).toEqual([])
    expect(await missing([letter(3n)], twelve(2, 0n))).toHaveLength(1)
  })

  it('are not missed when the topic has them', async () => {
    const records = [aRecord({ headers: [aHeader('holdfast.id', 'orders-7-3')] })]
    expect(await missing([letter(3n, { partition: 1, offset: 4n })], twelve(2, 0n), records)).toEqual([])
  })
})
