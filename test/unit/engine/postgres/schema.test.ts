import { globSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { CHANNEL } from '#src/engine/postgres/notifications.ts'
import { inSchema, MIGRATION_TABLES, SHARED_TABLES } from '#src/engine/postgres/schema.ts'

const TABLES = [...SHARED_TABLES, ...Object.values(MIGRATION_TABLES)]

describe('SQL for another schema', () => {
  const place = inSchema('acme')

  it('names our tables there, and our channel after it', () => {
    for (const table of TABLES) expect(place(`TABLE holdfast.${table}`)).toBe(`TABLE acme.${table}`)
    expect(place(`LISTEN ${CHANNEL}`)).toBe('LISTEN acme_written')
    expect(place('UPDATE holdfast.replays SET topic = replays.id')).toBe('UPDATE acme.replays SET topic = replays.id')
  })

  it('changes nothing else that looks like it', () => {
    for (const text of [
      'SELECT FROM holdfast.orders',
      'SELECT FROM my_holdfast.replays',
      `SELECT 'holdfast.id', 'holdfast'`,
      'SELECT FROM "holdfast".returns AS holdfast',
      'SELECT FROM holdfast.replays_of_mine',
    ]) {
      expect(place(text)).toBe(text)
    }
  })

  it('quotes a name that is a word of SQL', () => {
    expect(inSchema('user')('TABLE holdfast.causes')).toBe('TABLE "user".causes')
  })

  it('is the same text in the default schema', () => {
    for (const table of TABLES) expect(inSchema('holdfast')(`TABLE holdfast.${table}`)).toBe(`TABLE holdfast.${table}`)
  })

  it('stays right for more texts than are kept', () => {
    for (let n = 0; n < 5_000; n += 1)
      expect(place(`SELECT ${n} FROM holdfast.causes`)).toBe(`SELECT ${n} FROM acme.causes`)
  })
})

it('no SQL of this code leaves it to the search path where our tables stand', () => {
  const unqualified = new RegExp(
    String.raw`\b(?:FROM|JOIN|INTO|UPDATE|TABLE|ONLY|USING|LIKE|ANALYZE)\s+(${TABLES.join('|')})\b(?![.\w])`,
    'g',
  )
  const found = globSync('{src,tools,bench}/**/*.ts').flatMap(file =>
    [...readFileSync(file, 'utf8').matchAll(unqualified)]
      // The name of a step of the same statement (WITH … AS).
      .filter(({ 1: name, input }) => !new RegExp(String.raw`\b${name} AS \(`).test(input))
      .map(([text]) => `${file}: ${text}`),
  )
  expect(found).toEqual([])
})
