import { expect, it } from 'vitest'
import { plural } from '#src/cli/words.ts'
import { grouped } from '#src/engine/grouped.ts'

it.each<[number | bigint | string, string]>([
  [0, '0'],
  [999, '999'],
  [1_002, '1,002'],
  [-1_234_567, '-1,234,567'],
  [12_345_678_901_234_567_890n, '12,345,678,901,234,567,890'],
  ['1000', '1,000'],
])('a count of %s is read as %s', (count, text) => {
  expect(grouped(count)).toBe(text)
})

it('a counted thing has its number in the same form', () => {
  expect(plural(1_002, 'record')).toBe('1,002 records')
  expect(plural(1, 'record')).toBe('1 record')
})
