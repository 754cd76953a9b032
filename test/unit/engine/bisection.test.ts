import { describe, expect, it } from 'vitest'
import { bisect } from '#src/engine/bisection.ts'

describe('bisect', () => {
  it('halves a batch without losing or doubling a record, the lower half not smaller', () => {
    expect(bisect({ start: 3, end: 8 })).toEqual({
      kind: 'halves',
      lower: { start: 3, end: 6 },
      upper: { start: 6, end: 8 },
    })
  })

  it('names the culprit when one record is left', () => {
    expect(bisect({ start: 7, end: 8 })).toEqual({ kind: 'culprit', index: 7 })
  })

  it('refuses an empty batch: the caller has lost count', () => {
    expect(() => bisect({ start: 4, end: 4 })).toThrow(RangeError)
  })
})
