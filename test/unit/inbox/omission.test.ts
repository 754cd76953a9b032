import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HEADER } from '#src/engine/headers.ts'
import type { Header, SourceRecord } from '#src/engine/record.ts'
import { omissionOf, omit, whole } from '#src/inbox/omission.ts'
import { toDeadLetterRecord } from '#src/inbox/record.ts'
import { aDeadLetter } from '../../support/orders.ts'
import { aRecord } from '../../support/records.ts'

const sha256 = (value: Buffer) => createHash('sha256').update(value).digest('hex')
const bytes = fc.uint8Array({ maxLength: 40 }).map(array => Buffer.from(array))
const headers = fc.array(fc.tuple(fc.string({ maxLength: 8 }), bytes), { maxLength: 3 })
const content = fc.record({ key: fc.option(bytes), value: fc.option(bytes), headers })

/** As it stands in the topic. */
function standing(letter: { key: Buffer | null; value: Buffer | null; headers: readonly Header[] }): SourceRecord {
  const { key, value, headers } = letter
  return aRecord({ topic: 'orders.dlq', offset: 1n, key, value, headers })
}

describe('a letter without what was too large', () => {
  it('is made whole from the record that it names, byte for byte', () => {
    fc.assert(
      fc.property(content, fc.constantFrom('value' as const, 'record' as const), (content, what) => {
        const record = aRecord({ offset: 7n, ...content })
        const letter = toDeadLetterRecord({ ...aDeadLetter(7n), record })
        const small = standing(omit(letter, record, what, sha256))
        expect(small.value).toBeNull()
        const omission = omissionOf(small)
        if (omission === undefined) {
          expect([what, record.value]).toEqual(['value', null])
          return
        }
        expect(omission.at).toMatchObject({ topic: record.topic, partition: record.partition, offset: 7n })
        expect(whole(small, omission, record, sha256)).toEqual(standing(letter))
      }),
    )
  })

  it('is not made whole from another record that stands there now', () => {
    const record = aRecord({ offset: 7n, value: Buffer.from('a') })
    const small = standing(omit(toDeadLetterRecord({ ...aDeadLetter(7n), record }), record, 'value', sha256))
    const omission = omissionOf(small)
    expect(omission).toBeDefined()
    if (omission === undefined) return
    expect(whole(small, omission, { ...record, value: Buffer.from('b') }, sha256)).toBeUndefined()
    expect(whole(small, omission, { ...record, value: null }, sha256)).toBeUndefined()
  })

  it('is not what a producer says who writes such headers', () => {
    const forged = [
      [HEADER.value, 'omitted'],
      [HEADER.valueAt, 'orders-0-1'],
      [HEADER.valueHash, sha256(Buffer.from('secret'))],
    ].map(([name = '', text = '']): Header => [name, Buffer.from(text)])
    const record = aRecord({ offset: 7n, headers: forged })
    expect(omissionOf(standing(toDeadLetterRecord({ ...aDeadLetter(7n), record })))).toBeUndefined()
  })
})
