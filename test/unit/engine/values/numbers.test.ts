import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isMultipleOf } from '#src/engine/values/numbers.ts'
import { judge } from '#src/testing.ts'

describe('a multiple of a decimal', () => {
  it('is each amount with as many decimals, whatever its double is', () => {
    fc.assert(
      fc.property(fc.integer({ min: -1e12, max: 1e12 }), fc.integer({ min: 0, max: 4 }), (digits, scale) => {
        const [value, divisor] = [Number(`${digits}e-${scale}`), Number(`1e-${scale}`)]
        expect([value, divisor, isMultipleOf(value, divisor)]).toEqual([value, divisor, true])
      }),
    )
  })

  it.each([
    [19.995, 0.01, false],
    [0.07, 0.01, true],
    [7, 2.5, false],
    [7.5, 2.5, true],
    [1e308, 5e-324, true],
    [5e-324, 1e308, false],
    [0, 0.3, true],
    [-0.3, 0.1, true],
    [Number.POSITIVE_INFINITY, 0.1, false],
  ])('%d of %d: %s', (value, divisor, expected) => {
    expect(isMultipleOf(value, divisor)).toBe(expected)
  })

  it('is what a schema means by multipleOf', () => {
    const properties = { id: { type: 'string' }, price: { type: 'number', multipleOf: 0.01 } }
    const stream = {
      name: 'prices',
      schema: { type: 'object', required: ['id', 'price'], properties },
      key: '/id',
      tables: { prices: {} },
    } as const
    expect(judge(stream, '{"id":"a","price":19.99}')).toMatchObject({ ok: true })
    expect(judge(stream, '{"id":"a","price":19.995}')).toMatchObject({
      ok: false,
      error: 'multipleOf',
      pointer: '/price',
      message: '/price must be a multiple of 0.01',
    })
  })
})
