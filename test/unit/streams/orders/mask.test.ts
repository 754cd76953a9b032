import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MASK } from '#src/engine/values/mask.ts'
import { maskPersonal } from '../../../support/order.ts'
import { modelOrder } from '../../../support/orders.ts'

const masked = (text: string) => maskPersonal(Buffer.from(text))?.toString('utf8')

describe('what is personal', () => {
  it('is who ordered and who receives it, and nothing else of an order', () => {
    const { customer_id, delivery, ...rest } = modelOrder
    const shown = JSON.parse(masked(JSON.stringify(modelOrder)) ?? '')
    const { customer_id: who, delivery: where, ...others } = shown
    expect(others).toEqual(rest)
    expect([customer_id.length > 0, who]).toEqual([true, MASK])
    expect(where).toEqual(Object.fromEntries(Object.keys(delivery).map(name => [name, MASK])))
  })

  it('leaves the text as it stands: layout, repeated fields, and numbers that no program holds', () => {
    expect(masked('{ "sm_id":\t9007199254740993,\n"sm_id" : 1e400, "locale": "\\u0041\\"" }')).toBe(
      '{ "sm_id":\t9007199254740993,\n"sm_id" : 1e400, "locale": "\\u0041\\"" }',
    )
  })

  it.each([
    ['{"delivery":"Ivan, Moscow"}', `{"delivery":"${MASK}"}`],
    [
      '{"delivery":{"phone":79990000000,"email":null,"city":"","zip":true}}',
      `{"delivery":{"phone":"${MASK}","email":null,"city":"","zip":true}}`,
    ],
    [
      '{"delivery":{"address":{"status":"Ivan","lines":["a",1]}}}',
      `{"delivery":{"address":{"status":"${MASK}","${MASK}":["${MASK}","${MASK}"]}}}`,
    ],
    ['{"address":{"a":{"status":"Ivan"}}}', `{"address":{"${MASK}":{"status":"${MASK}"}}}`],
    ['{"email":"a@b"}', `{"email":"${MASK}"}`],
    ['{"e\\u006dail":"a@b"}', `{"e\\u006dail":"${MASK}"}`],
    ['{"Email":"a@b","whatever":5}', `{"${MASK}":"${MASK}","${MASK}":"${MASK}"}`],
    ['{"items":[{"name":"Mascaras","price":1}]}', '{"items":[{"name":"Mascaras","price":1}]}'],
    ['{"items":[{"name":["Mascaras"]}]}', `{"items":[{"name":["${MASK}"]}]}`],
    ['{"items":["Ivan"]}', `{"items":["${MASK}"]}`],
    ['{"item":[{"name":"Ivan"}]}', `{"${MASK}":[{"name":"${MASK}"}]}`],
    ['"Ivan"', `"${MASK}"`],
    ['[["Ivan"]]', `[["${MASK}"]]`],
    ['\ufeff{"city":"Moscow"}', `\ufeff{"city":"${MASK}"}`],
    ['{}', '{}'],
  ])('is found wherever it stands: %s', (text, expected) => {
    expect(masked(text)).toBe(expected)
  })

  it.each([
    ['text in a field of numbers', '{"sm_id":"Ivan Petrov"}', `{"sm_id":"${MASK}"}`],
    ['and be it digits', '{"payment":{"amount":"79990000000"}}', `{"payment":{"amount":"${MASK}"}}`],
    ['a number in a field of text', '{"locale":79990000000}', `{"locale":"${MASK}"}`],
    ['an address as a name', '{"12 Baker Street, London":1}', `{"${MASK}":"${MASK}"}`],
    [
      'also deep inside',
      '{"payment":{"ada@example.org":{"amount":5}}}',
      `{"payment":{"${MASK}":{"amount":"${MASK}"}}}`,
    ],
    ['no currency', '{"payment":{"currency":"Ivan"}}', `{"payment":{"currency":"${MASK}"}}`],
    ['no instant', '{"date_created":"born in 1979"}', `{"date_created":"${MASK}"}`],
    ['no uid', '{"order_uid":"ada@example.org"}', `{"order_uid":"${MASK}"}`],
    ['an address of e-mail in a field of any text', '{"locale":"ada@example.org"}', `{"locale":"${MASK}"}`],
    ['a telephone number there', '{"shardkey":"+7 (999) 000-00-00"}', `{"shardkey":"${MASK}"}`],
    ['an object for a text', '{"bank":{"name":"Ivan"}}', `{"${'bank'}":{"name":"${MASK}"}}`],
    ['a list of orders', '[{"sm_id":5}]', `[{"sm_id":"${MASK}"}]`],
    [
      'a field in another place',
      '{"payment":{"sm_id":5},"amount":5}',
      `{"payment":{"sm_id":"${MASK}"},"amount":"${MASK}"}`,
    ],
    ['an item that is no entry', '{"items":{"name":"Ivan"}}', `{"items":{"name":"${MASK}"}}`],
    ['__proto__', '{"__proto__":{"sm_id":5}}', `{"${MASK}":{"sm_id":"${MASK}"}}`],
  ])('may be whatever is not as the schema has it: %s', (_what, text, expected) => {
    expect(masked(text)).toBe(expected)
  })

  it.each([
    ['no JSON', Buffer.from('{"name":"Ivan"')],
    ['no text', Buffer.from([0x22, 0xff, 0x22])],
    ['nothing', Buffer.of()],
  ])('cannot be told in what is %s', (_, value) => expect(maskPersonal(value)).toBeUndefined())

  it('is hidden in any JSON, and whatever is shown is JSON still', () => {
    const secret = fc.stringMatching(/^secret[a-z]{3}$/)
    const unknown = fc.dictionary(fc.stringMatching(/^x[a-z\\"/]{0,5}$/), fc.oneof(secret, fc.array(secret)))
    fc.assert(
      fc.property(fc.oneof(secret, fc.array(unknown), unknown, fc.record({ delivery: unknown })), value => {
        const shown = masked(JSON.stringify(value)) ?? ''
        expect(shown).not.toContain('secret')
        expect(masked(shown)).toBe(shown)
        expect(() => JSON.parse(shown)).not.toThrow()
        // Held against the text: what V8 makes of keys with escapes is not always what stands there (nodejs/node#63785).
        const names = (text: string) => text.replaceAll(/"x(?:[^"\\]|\\.)*":/g, '"":')
        expect(shown.replaceAll(MASK, '')).toBe(names(JSON.stringify(value)).replaceAll(/secret[a-z]{3}/g, ''))
      }),
    )
  })

  it('takes no more stack for what is deep or long', () => {
    expect(masked('['.repeat(100_000) + ']'.repeat(100_000))).toHaveLength(200_000)
    expect(masked(`{"city":"${'\\"'.repeat(2_000_000)}"}`)).toBe(`{"city":"${MASK}"}`)
  })
})
