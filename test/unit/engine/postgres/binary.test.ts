import { describe, expect, it } from 'vitest'
import { encodeColumn } from '#src/engine/postgres/binary.ts'

describe('a column as a binary array', () => {
  it('holds dimension, flags, element type, length, lower bound, and each element behind its length', () => {
    const encoded = encodeColumn({ type: 'text', values: ['ab', 'й'] })
    expect(encoded.toString('hex')).toBe(
      ['00000001', '00000000', '00000019', '00000002', '00000001', '00000002', '6162', '00000002', 'd0b9'].join(''),
    )
  })

  it.each(['text', 'int8', 'int4', 'timestamptz'] as const)('has no dimension when it is empty (%s)', type => {
    const encoded = encodeColumn({ type, values: [] })
    expect(encoded.length).toBe(12)
    expect(encoded.readInt32BE(0)).toBe(0)
  })

  it('writes a number as the same eight bytes as the bigint', () => {
    const numbers = [0, 1, -1, 2 ** 31, 2 ** 32, -(2 ** 32), 2 ** 53 - 1, -(2 ** 53 - 1)]
    const encoded = encodeColumn({ type: 'int8', values: numbers })
    expect(encoded.equals(encodeColumn({ type: 'int8', values: numbers.map(BigInt) }))).toBe(true)
  })

  it.each([
    { type: 'int8', values: [2 ** 53] },
    { type: 'int8', values: [1.5] },
    { type: 'int4', values: [2 ** 31] },
    { type: 'int4', values: [Number.NaN] },
  ] as const)('stops at $type $values, rather than store another number', column => {
    expect(() => encodeColumn(column)).toThrow(RangeError)
  })
})
