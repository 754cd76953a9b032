import { expect, it } from 'vitest'
import { copyText, encodeCopy } from '../../../bench/copy-encoding.ts'
import { recordsOf } from '../../../bench/records.ts'
import type { ReadyRecord } from '../../../src/engine/verdict.ts'
import type { Order } from '../../support/order.ts'

it('encodes a tuple for each row, with as many fields as COPY names columns', () => {
  const orders = recordsOf({
    ...{ seed: 1, updatesRatio: 0, invalidRatio: 0 },
    ...{ items: 3, hotShare: undefined, partitions: 1 },
  })
  const records = Array.from({ length: 5 }, (_, i): ReadyRecord<Order> => {
    const { key, order } = orders.next()
    const origin = { topic: 'orders', partition: 0, offset: BigInt(i), timestampMs: 1_700_000_000_000 }
    return { record: { ...origin, key, value: null, headers: [] }, origin, key: String(key), value: order as Order }
  })
  const columns = [...copyText.matchAll(/COPY "?\w+"? \(([^)]*)\)/g)].map(([, names = '']) => names.split(',').length)
  const tuples = encodeCopy(records).map(tuplesOf)
  expect(tuples.map(({ length }) => length)).toEqual([5, 5, 5, 15])
  expect(tuples.map(rows => new Set(rows.map(fields => fields.length)))).toEqual(columns.map(count => new Set([count])))
  expect(tuples[0]?.map(([key]) => String(key))).toEqual(records.map(({ key }) => key))
})

/** The fields of each tuple of a stream, to its end. */
function tuplesOf(stream: Buffer): Buffer[][] {
  const tuples: Buffer[][] = []
  let at = 19
  while (stream.readInt16BE(at) !== -1) {
    const fields: Buffer[] = []
    const count = stream.readInt16BE(at)
    at += 2
    for (let i = 0; i < count; i++) {
      const length = stream.readInt32BE(at)
      fields.push(stream.subarray(at + 4, at + 4 + length))
      at += 4 + length
    }
    tuples.push(fields)
  }
  expect(at + 2).toBe(stream.length)
  return tuples
}
