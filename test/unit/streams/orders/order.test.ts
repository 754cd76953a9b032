import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createGenerator } from '#src/streams/orders/generator.ts'
import { orderSchema } from '#src/streams/orders/schema.ts'
import { createOrderJudge, formatInstant, type Order, orderJson, parseInstant } from '../../../support/order.ts'

const judge = createOrderJudge({ maxBytes: 1024 * 1024 })
const modelText = readFileSync('data/model.json', 'utf8')

function accepted(value: Buffer): Order {
  const verdict = judge({ value, key: null })
  if (!verdict.ok) throw new Error(verdict.rejection.message)
  return verdict.value
}

describe('the schema', () => {
  it('is the one in schemas/ (else run: node scripts/write-schema.ts)', () => {
    expect(JSON.parse(readFileSync('schemas/order.schema.json', 'utf8'))).toEqual(orderSchema)
  })

  it('lists the fields of the model, in its order, all of them required', () => {
    const model = JSON.parse(modelText)
    const { properties, required } = orderSchema
    expect(Object.keys(properties)).toEqual(Object.keys(model))
    expect(required).toEqual(Object.keys(model))
    for (const [schema, sample] of [
      [properties.delivery, model.delivery],
      [properties.payment, model.payment],
      [properties.items.items, model.items[0]],
    ] as const) {
      expect(Object.keys(schema.properties)).toEqual(Object.keys(sample))
      expect(schema.required).toEqual(Object.keys(sample))
    }
  })
})

describe('the canonical JSON of an order', () => {
  it('is the model, value for value and field by field in its order', () => {
    const json = orderJson(accepted(Buffer.from(modelText))).toString()
    expect(json).toBe(JSON.stringify(JSON.parse(modelText)))
  })

  it('is the same whatever the order of the fields, the spaces and the zone were', () => {
    const model = JSON.parse(modelText)
    const shuffled = {
      ...Object.fromEntries(Object.entries(model).reverse()),
      date_created: '2021-11-26T09:22:19.000+03:00',
    }
    expect(orderJson(accepted(Buffer.from(JSON.stringify(shuffled, null, 4))))).toEqual(
      orderJson(accepted(Buffer.from(modelText))),
    )
  })

  it('stays what it is when it is judged and written again', () => {
    const seeds = fc.record({ seed: fc.nat(), skip: fc.nat({ max: 50 }) })
    fc.assert(
      fc.property(seeds, ({ seed, skip }) => {
        const generator = createGenerator({ seed, invalidRatio: 0, updatesRatio: 0.3 })
        for (let i = 0; i < skip; i++) generator.next()
        const value = generator.next().value ?? Buffer.alloc(0)
        const once = accepted(value)
        const again = accepted(orderJson(once))
        expect(again).toEqual(once)
        const sent = JSON.parse(value.toString())
        expect({ ...once, date_created: '' }).toEqual({ ...sent, date_created: '' })
        expect(parseInstant(once.date_created)).toBe(parseInstant(sent.date_created))
      }),
      { numRuns: 200 },
    )
  })

  it('holds any text that the schema allows', () => {
    const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 50 }).filter(value => !value.includes('\u0000'))
    fc.assert(
      fc.property(text, name => {
        const model: Order = JSON.parse(modelText)
        const sent = { ...model, delivery: { ...model.delivery, name } }
        expect(accepted(Buffer.from(JSON.stringify(sent)))).toEqual(sent)
      }),
    )
  })
})

describe('an instant', () => {
  it.each([
    ['2021-11-26T06:22:19Z', '2021-11-26T06:22:19Z'],
    ['2024-01-01 00:00:00Z', '2024-01-01T00:00:00Z'],
    ['2024-01-01t00:00:00z', '2024-01-01T00:00:00Z'],
    ['2024-01-01T00:00:00.120Z', '2024-01-01T00:00:00.12Z'],
    ['2024-01-01T00:00:00.000000Z', '2024-01-01T00:00:00Z'],
    // Cut, never rounded: not into the next second, nor into the year 10000.
    ['2024-01-01T00:00:00.123456789Z', '2024-01-01T00:00:00.123456Z'],
    ['9999-12-31T23:59:59.9999999Z', '9999-12-31T23:59:59.999999Z'],
    ['2024-02-29T23:30:00-01:45', '2024-03-01T01:15:00Z'],
    ['1970-01-01T05:30:00+05:30', '1970-01-01T00:00:00Z'],
    ['2024-01-01T00:00:00-00:00', '2024-01-01T00:00:00Z'],
  ])('%s is written as %s', (text, canonical) => {
    expect(formatInstant(parseInstant(text))).toBe(canonical)
    const order = accepted(Buffer.from(modelText.replace('2021-11-26T06:22:19Z', text)))
    expect(order.date_created).toBe(canonical)
  })

  it('comes back from its text, to the microsecond', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 253_402_300_799_999_999n }), micros => {
        expect(parseInstant(formatInstant(micros))).toBe(micros)
      }),
    )
  })

  it('that is none is refused without being quoted', () => {
    expect(() => parseInstant('Geheimrat')).toThrow(RangeError)
    expect(() => parseInstant('Geheimrat')).not.toThrow(/Geheimrat/)
  })
})
