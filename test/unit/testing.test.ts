import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { defineStream } from '#src/index.ts'
import { orders } from '#src/streams/orders/definition.ts'
import { judge } from '#src/testing.ts'
import { measureCpuMs } from '../support/cpu-time.ts'

const order = readFileSync(new URL('../../data/model.json', import.meta.url), 'utf8')

describe('a record that is judged without servers', () => {
  it('shows the rows that a valid one would write', () => {
    const judgement = judge(orders, order)

    expect(judgement).toMatchObject({ ok: true, key: 'b563feb7b2b84b6test', unusual: ['key_mismatch'] })
    const { rows } = judgement as Extract<typeof judgement, { ok: true }>
    expect(Object.keys(rows)).toEqual(['orders', 'deliveries', 'payments', 'items'])
    expect(rows.orders).toEqual([expect.objectContaining({ order_uid: 'b563feb7b2b84b6test', customer_id: 'test' })])
    expect(rows.items).toEqual([
      expect.objectContaining({ order_uid: 'b563feb7b2b84b6test', position: 0, chrt_id: 9934930, price: 453 }),
    ])
  })

  it('says what an invalid one breaks, and where', () => {
    const judgement = judge(orders, order.replace('"test@gmail.com"', '"nobody"'))

    expect(judgement).toMatchObject({
      ok: false,
      key: 'b563feb7b2b84b6test',
      reason: 'schema_violation',
      pointer: '/delivery/email',
      violations: [{ pointer: '/delivery/email' }],
    })
  })

  it('takes bytes, a tombstone, and a key', () => {
    expect(judge(orders, Buffer.from([0xff, 0xfe]))).toMatchObject({ ok: false, error: 'not_utf8' })
    expect(judge(orders, null)).toMatchObject({ ok: false, reason: 'empty_value' })
    expect(judge(orders, order, 'b563feb7b2b84b6test')).toMatchObject({ ok: true, unusual: [] })
  })

  it('compiles a definition once', () => {
    const definition = { ...orders }
    judge(definition, order)
    const spentMs = measureCpuMs()
    for (let n = 0; n < 1_000; n++) judge(definition, order)
    expect(spentMs()).toBeLessThan(2_000)
  })

  it('names what is wrong with a definition', () => {
    const mistaken = defineStream({ ...orders, topic: 'not a topic' } as Parameters<typeof defineStream>[0])

    expect(() => judge({ ...mistaken, settings: {} }, order)).toThrow(/topic is "not a topic"/)
  })
})
