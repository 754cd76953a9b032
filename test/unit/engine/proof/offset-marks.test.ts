import { expect, it } from 'vitest'
import { createOffsetMarks, MARK } from '#src/engine/proof/offset-marks.ts'

it('keeps one mark for each offset of its range, never a lower one than before', () => {
  const marks = createOffsetMarks(1_000_000_000_000n, 1_000_000_200_000n)
  const offsets = [0n, 1n, 2n, 3n, 65_535n, 65_536n, 199_999n].map(offset => 1_000_000_000_000n + offset)
  for (const offset of offsets) marks.set(offset, MARK.valid)
  marks.set(offsets[1] ?? 0n, MARK.compared)
  marks.set(offsets[2] ?? 0n, MARK.record)
  expect(offsets.map(offset => marks.get(offset))).toEqual([2, 3, 2, 2, 2, 2, 2])
  expect(offsets.slice(0, 2).map(offset => marks.take(offset))).toEqual([false, true])
  expect(marks.take(offsets[1] ?? 0n)).toBe(false)
  expect(marks.get(1_000_000_000_004n)).toBe(MARK.nothing)
  expect(marks.get(1_000_000_200_000n)).toBeUndefined()
  expect(marks.get(999_999_999_999n)).toBeUndefined()
})
