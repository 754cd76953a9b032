import { describe, expect, it } from 'vitest'
import { writeHeaders } from '#src/engine/headers.ts'
import { claimKey, claimOf, type ProvenanceClaim, provenances, type RedriveFacts } from '#src/engine/provenance.ts'
import { formerTopic, type Origin, type SourceRecord } from '#src/engine/record.ts'
import { aHeader, aRecord } from '../../support/records.ts'

const ORIGIN: Origin = { topic: 'orders', partition: 0, offset: 5n, timestampMs: 1_600_000_000_000 }
const FACTS: RedriveFacts = { redriveCount: 2, timestampMs: ORIGIN.timestampMs, nextOffset: 10n }

/** A record at offset 20 of partition 0 that says so. */
function claiming(origin: Origin = ORIGIN, over: Partial<SourceRecord> = {}): SourceRecord {
  const headers = writeHeaders({ id: origin, timestamp: origin.timestampMs, redriveId: 'r1', redriveCount: 900_000 })
  return aRecord({ offset: 20n, headers, ...over })
}

/** A store that knows the redrive `r1`, with one member. */
function redrives(facts: RedriveFacts = FACTS, member: Origin = ORIGIN) {
  const asked: ProvenanceClaim[][] = []
  return {
    asked,
    async ask(claims: readonly ProvenanceClaim[]) {
      asked.push([...claims])
      const known = claimKey({ redriveId: 'r1', origin: member })
      return new Map(claims.filter(claim => claimKey(claim) === known).map(claim => [claimKey(claim), facts]))
    },
  }
}

async function provenanceOf(record: SourceRecord, { ask } = redrives()) {
  return (await provenances([record], ask))(record)
}

describe('a record', () => {
  it('stands for itself, and the store is not asked, when it claims nothing', async () => {
    const store = redrives()
    const records = [aRecord(), aRecord({ headers: [aHeader('traceparent', 'x'), aHeader('holdfast.reason', 'y')] })]
    const of = await provenances(records, store.ask)
    for (const record of records) expect(of(record)).toEqual({ origin: record, redrive: undefined, foreign: false })
    expect(store.asked).toEqual([])
  })

  it('counts with the position of its letter when the redrive that it names has that member', async () => {
    const record = claiming()
    expect(await provenanceOf(record)).toEqual({
      origin: ORIGIN,
      // The count that is in its header is its writer's word.
      redrive: { redriveId: 'r1', redriveCount: 2 },
      foreign: false,
    })
  })

  it('counts with the timestamp of the index, not of its header, as far as the index knows it', async () => {
    const record = claiming({ ...ORIGIN, timestampMs: 9e18 })
    expect((await provenanceOf(record)).origin).toEqual(ORIGIN)
    const forgotten = redrives({ ...FACTS, timestampMs: undefined })
    expect((await provenanceOf(record, forgotten)).origin.timestampMs).toBe(9e18)
  })

  it('counts with the former topic of its letter, whatever offset that had, where the topic was created again', async () => {
    const origin = { ...ORIGIN, offset: 900n }
    const of = redrives({ ...FACTS, topic: formerTopic('orders', 'topic-1') }, origin)
    expect(await provenanceOf(claiming(origin), of)).toEqual({
      origin: { ...origin, topic: 'orders@topic-1' },
      redrive: { redriveId: 'r1', redriveCount: 2 },
      foreign: false,
    })
  })

  it('counts with a former topic, and its own timestamp, where a letter of a later record has the id of its letter', async () => {
    const later = redrives({ ...FACTS, topic: 'orders', timestampMs: ORIGIN.timestampMs + 1 })
    expect((await provenanceOf(claiming(), later)).origin).toEqual({ ...ORIGIN, topic: 'orders@unknown' })
  })

  it('asks once for all records of a batch', async () => {
    const store = redrives()
    await provenances([claiming(), aRecord(), claiming(), claiming()], store.ask)
    expect(store.asked.map(claims => claims.length)).toEqual([3])
  })

  it.each<[string, Origin, SourceRecord, RedriveFacts?]>([
    ['that is no member', { ...ORIGIN, offset: 6n }, claiming()],
    ['at its own offset', { ...ORIGIN, offset: 20n }, claiming({ ...ORIGIN, offset: 20n })],
    ['far ahead', { ...ORIGIN, offset: 10n ** 18n }, claiming({ ...ORIGIN, offset: 10n ** 18n })],
    [
      'at the progress of another partition',
      { ...ORIGIN, partition: 1, offset: 10n },
      claiming({ ...ORIGIN, partition: 1, offset: 10n }),
    ],
    [
      'on a partition that was never consumed',
      { ...ORIGIN, partition: 1 },
      claiming({ ...ORIGIN, partition: 1 }),
      { ...FACTS, nextOffset: undefined },
    ],
    [
      'at the progress in another topic',
      { ...ORIGIN, topic: 'returns', offset: 10n },
      claiming({ ...ORIGIN, topic: 'returns', offset: 10n }),
    ],
  ])('is new when it claims an origin %s', async (_, member, record, facts = FACTS) => {
    expect(await provenanceOf(record, redrives(facts, member))).toEqual({
      origin: record,
      redrive: undefined,
      foreign: true,
    })
  })

  it.each<[string, Origin, RedriveFacts?]>([
    ['of another partition', { ...ORIGIN, partition: 1, offset: 9n }],
    ['of its own partition, before progress has come by', { ...ORIGIN, offset: 19n }],
    [
      'in a topic that is not consumed, as of a letter of unknown origin',
      { ...ORIGIN, topic: 'orders.dlq' },
      { ...FACTS, nextOffset: undefined },
    ],
  ])('is believed with an origin %s', async (_, origin, facts = FACTS) => {
    const { redrive, foreign } = await provenanceOf(claiming(origin), redrives(facts, origin))
    expect([redrive?.redriveId, foreign]).toEqual(['r1', false])
  })
})

it.each([
  ['no id', [aHeader('holdfast.replay-id', 'r1'), aHeader('holdfast.timestamp', '1')]],
  ['no redrive', [aHeader('holdfast.id', 'orders-0-5'), aHeader('holdfast.timestamp', '1')]],
  ['no timestamp', [aHeader('holdfast.id', 'orders-0-5'), aHeader('holdfast.replay-id', 'r1')]],
  [
    'an id that is none',
    [aHeader('holdfast.id', 'or\0ders-0-5'), aHeader('holdfast.timestamp', '1'), aHeader('holdfast.replay-id', 'r1')],
  ],
  [
    'a timestamp that is none',
    [aHeader('holdfast.id', 'orders-0-5'), aHeader('holdfast.timestamp', '-1e9'), aHeader('holdfast.replay-id', 'r1')],
  ],
])('a record whose claim cannot be read is new, and counts as foreign: %s', async (_, headers) => {
  const record = aRecord({ offset: 7n, headers })
  expect(claimOf(record)).toBeUndefined()
  expect(await provenanceOf(record)).toEqual({ origin: record, redrive: undefined, foreign: true })
})

it('knows a redriven record also when its producer had given no timestamp', () => {
  const origin = { ...ORIGIN, timestampMs: -1 }
  expect(claimOf(claiming(origin))).toEqual({ origin, redriveId: 'r1' })
})
