import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { compileStream } from '#src/engine/definition/compile.ts'
import { orderQueries, orderTables } from '../../support/order-stream.ts'
import { aReadyOrder } from '../../support/orders.ts'

/** What the tables of orders were written and read with before their SQL was made from a definition. */
function frozen(name: string): string {
  return readFileSync(new URL(`texts/orders-${name}.sql`, import.meta.url), 'utf8')
}

const spaces = (text: string) =>
  text
    .replace(/\s+/g, ' ')
    .replace(/([([]) /g, '$1')
    .trim()

const whole = { from: undefined, to: undefined, after: undefined, limit: 20 }

describe('the SQL that is made from the definition of orders', () => {
  it('writes with the statement that orders have always been written with', () => {
    expect(`${orderTables.upsert([]).text.replace(/^\n/, '')}\n`).toBe(frozen('upsert'))
  })

  it('removes surplus items with the same statement', () => {
    expect(`${orderTables.trim([])?.text.replace(/^\n/, '')}\n`).toBe(frozen('trim'))
  })

  it.each([
    ['one', orderQueries.one.text],
    ['many', orderQueries.many.text],
    ['newest', orderQueries.newest.text],
    ['page', orderQueries.page({ ...whole, by: {} }).text],
    ['page-by', orderQueries.page({ ...whole, by: { customer_id: 'anna' } }).text],
    // It has since learnt when the row was stored.
    [
      'origin',
      orderQueries.origin.text.replace(', (extract(epoch FROM stored_at) * 1000)::float8 AS stored_at_ms', ''),
    ],
  ])('reads with the same statement (%s), but for the name that the date has in its result', (name, text) => {
    expect(spaces(text)).toBe(spaces(frozen(name)).replace('AS created_micros', 'AS date_created'))
  })

  it('has a parameter for each column of the statement, each as long as its rows', () => {
    const { text, columns } = orderTables.upsert([aReadyOrder({ items: 3 }), aReadyOrder({ uid: 'order-2', items: 2 })])
    const parameters = new Set([...text.matchAll(/\$(\d+)::/g)].map(([, number]) => Number(number)))
    expect(columns).toHaveLength(parameters.size)
    expect(columns.map(({ values }) => values.length)).toEqual([...Array(32).fill(2), ...Array(13).fill(5)])
  })

  it('counts from the first to the last column what the frozen statement counts', () => {
    const { columns } = orderTables.upsert([aReadyOrder()])
    const casts = [...frozen('upsert').matchAll(/\$(\d+)::(\w+)\[\]/g)]
    const types = new Map(casts.map(([, number, type]) => [Number(number), type]))
    expect(columns.map(({ type }) => type)).toEqual([...types].sort(([a], [b]) => a - b).map(([, type]) => type))
  })
})

describe('a page that is restricted by a text which its column cannot equal', () => {
  const schema = {
    type: 'object',
    required: ['id', 'at'],
    properties: {
      id: { type: 'string' },
      at: { type: 'integer' },
      size: { type: 'integer' },
      ready: { type: 'boolean' },
    },
  }
  const { queries } = compileStream(
    { name: 'parts', schema, key: '/id', tables: { parts: {} }, list: { newest: '/at', by: ['/size', '/ready'] } },
    { topic: 'parts', dlqTopic: 'parts.dlq', groupId: 'holdfast-parts', maxBytes: 1_000 },
  )

  it.each([{ size: 'large' }, { size: '1e3' }, { ready: 'yes' }])('is empty, and no error: %o', by => {
    const { text, values } = queries.page({ ...whole, by })
    expect([text.endsWith('WHERE false'), values]).toEqual([true, []])
  })

  it('is not asked otherwise than any other, where the column can equal it', () => {
    const { text, values } = queries.page({ ...whole, by: { size: '12', ready: 'true' } })
    expect(text).toContain('p.size = $6::int8 AND p.ready = $7::bool AND')
    expect(values.slice(5)).toEqual(['12', 'true'])
  })
})
