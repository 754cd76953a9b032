import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { JsonSchema, Pointer } from '#src/engine/definition.ts'
import { createMask, MASK } from '#src/engine/values/mask.ts'
import { shapeOf } from '#src/engine/values/shape.ts'

const text = { type: 'string' }
const schema: JsonSchema = {
  type: 'object',
  properties: {
    id: { type: 'string', format: 'uuid' },
    state: { enum: ['open', 'closed'] },
    total: { type: ['number', 'null'] },
    customer: { type: 'object', properties: { name: text, city: text } },
    lines: { type: 'array', items: { type: 'object', properties: { sku: text, buyer: text } } },
    labels: { type: 'object', additionalProperties: text },
    free: {},
  },
}
const personal: readonly Pointer[] = ['/customer/name', '/lines/*/buyer']
const mask = createMask(shapeOf(schema), personal)
const masked = (json: string) => mask(Buffer.from(json))?.toString()

describe('the mask of any stream', () => {
  it.each([
    ['{"customer":{"name":"Ann","city":"Leeds"}}', `{"customer":{"name":"${MASK}","city":"Leeds"}}`],
    ['{"lines":[{"sku":"a","buyer":"Ann"}]}', `{"lines":[{"sku":"a","buyer":"${MASK}"}]}`],
    ['{"labels":{"Ann":"a"}}', `{"labels":{"${MASK}":"a"}}`],
    ['{"free":{"state":"Ann"}}', `{"free":{"state":"${MASK}"}}`],
    ['{"state":"open"}', '{"state":"open"}'],
    ['{"state":"Ann"}', `{"state":"${MASK}"}`],
    ['{"total":12.50}', '{"total":12.50}'],
    ['{"total":"Ann"}', `{"total":"${MASK}"}`],
    ['{"id":"Ann"}', `{"id":"${MASK}"}`],
    ['{"customer":{"city":"ann@example.org"}}', `{"customer":{"city":"${MASK}"}}`],
  ])('%s', (json, expected) => expect(masked(json)).toBe(expected))

  it('never shows a personal value, whatever the value around it is', () => {
    const secret = fc.stringMatching(/^secret[a-z]{3}$/)
    const value = fc.record(
      {
        id: secret,
        state: secret,
        total: fc.oneof(secret, fc.integer()),
        customer: fc.oneof(secret, fc.record({ name: fc.oneof(secret, fc.array(secret)), city: fc.constant('x') })),
        lines: fc.oneof(secret, fc.array(fc.record({ sku: fc.constant('y'), buyer: secret, secretabc: fc.integer() }))),
        labels: fc.dictionary(secret, fc.constant('z')),
        free: fc.object({ key: secret, values: [secret] }),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(value, sent => {
        const shown = masked(JSON.stringify(sent)) ?? ''
        expect(shown).not.toContain('secret')
        expect(() => JSON.parse(shown)).not.toThrow()
      }),
    )
  })
})
