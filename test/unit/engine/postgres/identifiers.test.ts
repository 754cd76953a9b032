import { expect, it } from 'vitest'
import { MAX_NAME_BYTES, shortened } from '#src/engine/postgres/identifiers.ts'

it('a name that Postgres keeps stays as it is', () => {
  for (const name of ['returns_newest', 'x'.repeat(MAX_NAME_BYTES), 'ж'.repeat(31)]) expect(shortened(name)).toBe(name)
})

it('names that are too long stay different, and are cut between characters', () => {
  for (const unit of ['x', 'ж', '𝒳']) {
    const [one, other] = ['1', '2'].map(end => shortened(unit.repeat(64) + end))
    expect(one).not.toBe(other)
    for (const name of [one, other]) {
      expect(Buffer.byteLength(name ?? '')).toBeLessThanOrEqual(MAX_NAME_BYTES)
      expect(name).toMatch(new RegExp(`^${unit}+_[0-9a-f]{8}$`, 'u'))
    }
  }
})
