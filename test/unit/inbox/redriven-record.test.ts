import { describe, expect, it } from 'vitest'
import { HEADER } from '#src/engine/headers.ts'
import { claimOf } from '#src/engine/provenance.ts'
import type { Header, SourceRecord } from '#src/engine/record.ts'
import { toDeadLetterRecord } from '#src/inbox/record.ts'
import type { RedriveItem } from '#src/inbox/redrive-work.ts'
import { EDITED_HEADER, toRedrivenRecord } from '#src/inbox/redriven-record.ts'
import { aDeadLetter } from '../../support/orders.ts'
import { aHeader, aRecord } from '../../support/records.ts'

const ORIGIN = { topic: 'orders', partition: 4, offset: 71n, timestampMs: 1_600_000_000_123 }
const ITEM: RedriveItem = {
  id: 'orders-4-71',
  origin: ORIGIN,
  redriveCount: 1,
  place: { partition: 1, offset: 9n },
  bytes: 40,
  ahead: false,
  edited: undefined,
}
const OWN: readonly Header[] = [
  aHeader('twice', 'first'),
  aHeader('traceparent', '00-1-2-01'),
  aHeader('twice', 'second'),
  ['binary', Buffer.from([0xff, 0x00])],
]

const FOREIGN: readonly Header[] = [
  aHeader('kafka_dlt-exception-message', 'x'),
  aHeader('__connect.errors.topic', 'x'),
  aHeader('__streams.errors.exception', 'x'),
  aHeader('__connect.other', 'kept'),
  aHeader('mine', 'kept'),
]

/** As the DLQ topic holds it. */
function letter(record: Partial<SourceRecord> = {}): SourceRecord {
  const read = aRecord({
    ...ORIGIN,
    key: Buffer.from([0x00, 0xff]),
    value: Buffer.from('{"a":'),
    headers: OWN,
    ...record,
  })
  const { timestampMs, ...written } = toDeadLetterRecord(
    aDeadLetter(0n, { record: read, origin: ORIGIN, redriveCount: 1 }),
  )
  return { topic: 'orders.dlq', partition: 1, offset: 9n, timestampMs, ...written }
}

describe('a redriven record', () => {
  it('is key, value and headers of the producer byte for byte, on the partition where it first stood', () => {
    const redriven = toRedrivenRecord(letter(), ITEM, 'r1')
    expect(redriven).toMatchObject({ partition: 4 })
    expect(redriven.key).toEqual(Buffer.from([0x00, 0xff]))
    expect(redriven.value).toEqual(Buffer.from('{"a":'))
    expect(redriven.headers.slice(0, OWN.length)).toEqual(OWN)
  })

  it('keeps what is absent absent', () => {
    expect(toRedrivenRecord(letter({ key: null, value: null }), ITEM, 'r1')).toMatchObject({ key: null, value: null })
  })

  it('says once each who it is and which redrive sent it, and nothing more of its failure', () => {
    const added = toRedrivenRecord(letter(), ITEM, 'r1').headers.slice(OWN.length)
    expect(added.map(([name, value]) => [name, value.toString()])).toEqual([
      [HEADER.topic, 'orders'],
      [HEADER.partition, '4'],
      [HEADER.offset, '71'],
      [HEADER.id, 'orders-4-71'],
      [HEADER.timestamp, '1600000000123'],
      [HEADER.redriveId, 'r1'],
      [HEADER.redriveCount, '2'],
    ])
  })

  it('claims its first position and its redrive', () => {
    const { headers } = toRedrivenRecord(letter(), ITEM, 'r1')
    expect(claimOf(aRecord({ topic: 'orders', partition: 4, offset: 900n, headers }))).toEqual({
      origin: ORIGIN,
      redriveId: 'r1',
    })
  })

  it('leaves behind what other programs wrote about the failure', () => {
    const foreign: SourceRecord = { ...letter(), headers: FOREIGN }
    const kept = toRedrivenRecord(foreign, ITEM, 'r1').headers.slice(0, 2)
    expect(kept).toEqual([aHeader('__connect.other', 'kept'), aHeader('mine', 'kept')])
  })

  it('keeps what other programs wrote before the record came to us', () => {
    const redriven = toRedrivenRecord(letter({ headers: FOREIGN }), ITEM, 'r1')
    expect(redriven.headers.slice(0, FOREIGN.length)).toEqual(FOREIGN)
  })

  it('is marked when an operator has changed its value, and stays marked when it fails again', () => {
    const edited = Buffer.from('{"a":1}')
    const redriven = toRedrivenRecord(letter(), { ...ITEM, edited }, 'r1')
    expect(redriven.value).toEqual(edited)
    expect(redriven.headers.at(-1)).toEqual(aHeader(EDITED_HEADER, 'true'))
    const again = toDeadLetterRecord(
      aDeadLetter(0n, { record: aRecord({ headers: redriven.headers }), origin: ORIGIN, redriveCount: 2 }),
    )
    expect(again.headers).toContainEqual(aHeader(EDITED_HEADER, 'true'))
    const third = toRedrivenRecord({ ...letter(), headers: again.headers }, { ...ITEM, edited }, 'r2')
    expect(third.headers.filter(([name]) => name === EDITED_HEADER)).toHaveLength(1)
  })
})
