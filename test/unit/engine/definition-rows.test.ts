import { expect, it } from 'vitest'
import { compileTables } from '#src/engine/definition/compile.ts'
import { getter } from '#src/engine/definition/rows.ts'
import { copyRowsOf } from '#src/engine/postgres/copy-rows.ts'

it('a field that every object inherits is none of a value, unless it is its own', () => {
  expect(getter(['toString'])({})).toBeUndefined()
  expect(getter(['toString'])({ toString: 'own' })).toBe('own')
  expect(getter(['a', 'valueOf', 'b'])({ a: {} })).toBeUndefined()
  expect(getter(['a', 'valueOf', 'b'])({ a: { valueOf: { b: 1 } } })).toBe(1)
  expect(getter(['a', 'valueOf'])({ a: 'text' })).toBeUndefined()
})

it('neither is it in the rows of a COPY', () => {
  const text = { type: 'string' }
  const part = { type: 'object', properties: { toString: text } }
  const { plan } = compileTables({
    name: 'things',
    schema: {
      type: 'object',
      required: ['id', 'lines'],
      properties: { id: text, constructor: text, valueOf: part, lines: { type: 'array', items: part } },
    },
    key: '/id',
    tables: { things: {}, things_of: { at: '/valueOf' }, things_lines: { each: '/lines' } },
  })
  const origin = { topic: 'things', partition: 0, offset: 0n, timestampMs: 0 }
  const rowsOf = (value: object) => copyRowsOf(plan)([{ origin, key: 'a', value } as never], 0n).map(({ rows }) => rows)
  expect(rowsOf({ id: 'a', lines: [{}] })).toEqual([1, 0, 1])
  expect(rowsOf({ id: 'a', constructor: 'b', valueOf: { toString: 'c' }, lines: [] })).toEqual([1, 1, 0])
})
