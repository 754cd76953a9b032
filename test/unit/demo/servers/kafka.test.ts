import { expect, it } from 'vitest'
import { newClusterId } from '#tools/demo/servers/kafka.ts'

it('names no cluster so that the formatter takes the name for an option', () => {
  const ids = Array.from({ length: 2_000 }, newClusterId)
  expect(ids.filter(id => id.startsWith('-'))).toEqual([])
  expect(new Set(ids).size).toBe(ids.length)
  expect(ids.every(id => id.length === 22)).toBe(true)
})
