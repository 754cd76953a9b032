import { describe, expect, it } from 'vitest'
import type { Violation } from '#src/engine/dead-letter.ts'
import { letterText } from '#src/inbox/cli/letter-text.ts'
import { type LetterTrace, maskedRecord, type ShownRecord, wholeRecord } from '#src/inbox/http/letter-answer.ts'
import { adminStandIn } from '../../../support/admin-stand-in.ts'
import { maskPersonal } from '../../../support/order.ts'

const NOW = Date.UTC(2026, 0, 1, 1)

/** A letter as the terminal shows it. */
async function shown(
  given: {
    value?: Buffer | string | null
    violations?: readonly Violation[]
    masked?: boolean
    gone?: boolean
    trace?: LetterTrace
  } = {},
): Promise<string> {
  const inbox = adminStandIn()
  const { value = '{}', violations = [] } = given
  const id = inbox.add({ value: typeof value === 'string' ? Buffer.from(value) : value, violations })
  const [letter, bytes] = [await inbox.letters.get(id), inbox.bytes.get(id)]
  if (letter === undefined || bytes === undefined) throw new Error('it was just added')
  const record: ShownRecord = given.masked
    ? maskedRecord(bytes, { mask: maskPersonal, isKey: text => text !== '' })
    : wholeRecord(bytes)
  const history = [
    { at: letter.failed_at, what: 'failed' as const, who: null, detail: { reason: letter.reason, pointer: '' } },
  ]
  return letterText({
    letter,
    record: given.gone ? undefined : record,
    history,
    trace: given.trace,
    nowMs: NOW,
    paint: (_format, text) => text,
  })
}

const violation = (pointer: string, keyword: string, message: string) => ({ pointer, keyword, message })

describe('a dead letter on the terminal', () => {
  it('says what, why, where and since when', async () => {
    const text = await shown()
    expect(text).toMatch(/^orders-0-0 {2}open\n {2}why +schema_violation, required: \/track_number is missing\n/)
    expect(text).toContain('source    orders, partition 0, offset 0')
    expect(text).toContain('failed    2026-01-01T00:00:00.000Z (1h ago), 1 attempt')
    expect(text).toContain('in the dead-letter topic, partition 0, offset 0')
    expect(text).toContain('Headers\n  holdfast.id: orders-0-0\n  holdfast.reason: schema_violation')
    expect(text).toContain('History\n  2026-01-01T00:00:00.000Z  failed  (reason schema_violation)')
  })

  it('names the trace of its record, with the way to it where there is one', async () => {
    expect(await shown({ trace: { id: 'abc', sampled: true, url: 'http://viewer/abc' } })).toContain(
      '  trace     http://viewer/abc\n',
    )
    expect(await shown({ trace: { id: 'abc', sampled: false, url: null } })).toContain(
      '  trace     abc (not sampled)\n',
    )
    expect(await shown({ trace: { id: 'abc', sampled: true, url: null } })).toContain('  trace     abc\n')
    expect(await shown()).not.toContain('  trace ')
  })

  it('marks the places that break a rule, and what is missing where it should be', async () => {
    const text = await shown({
      value: '{"payment":{"amount":"1817","currency":"usd"},"sm_id":9007199254740993}',
      violations: [
        violation('/payment/amount', 'type', 'must be an integer'),
        violation('/payment/bank', 'required', 'is missing'),
        violation('/sm_id', 'maximum', 'must be at most 9007199254740991'),
      ],
    })
    expect(text).toContain(`Value (71 bytes)
  {
>   "payment": {  ← required: bank is missing
>     "amount": "1817",  ← type: must be an integer
      "currency": "usd"
    },
>   "sm_id": 9007199254740993  ← maximum: must be at most 9007199254740991
  }`)
  })

  it('folds what is far from any violation', async () => {
    const items = Array.from({ length: 500 }, (_, price) => ({ price }))
    const text = await shown({
      value: JSON.stringify({ items }),
      violations: [violation('/items/250/price', 'minimum', 'must be at least 1000')],
    })
    expect(text).toContain('>       "price": 250  ← minimum: must be at least 1000')
    expect(text).toMatch(/… \d+ lines/)
    expect(text.split('\n').length).toBeLessThan(50)
  })

  it.each<[string, Buffer | string | null, string]>([
    ['no value', null, 'Value\n  none: a tombstone'],
    ['an empty value', Buffer.of(), 'Value (0 bytes)\n  empty'],
    ['no text', Buffer.from([0x00, 0xff]), '  00000000  00 ff'],
    ['JSON cut short', '{"a":1', '  {"a":1\n> ← not JSON from character 7 on: …{"a":1▸(its end)'],
    ['no JSON', '{"a":1,}', '> ← not JSON from character 8 on: …{"a":1,▸}'],
  ])('shows %s as what it is', async (_, value, expected) => {
    expect(await shown({ value })).toContain(expected)
  })

  it('says that bytes are gone, or hidden', async () => {
    expect(await shown({ gone: true })).toContain('gone: no topic holds it (any more)')
    const masked = await shown({ value: 'Ivan', masked: true })
    expect(masked).toContain('hidden, because it is not JSON')
    expect(masked).not.toContain('Ivan')
  })

  it('lets nothing that was sent steer the terminal', async () => {
    const text = await shown({
      value: '{"a\u202e\u001b[2J":"\u009b31m"}'.replace('\u001b', '\\u001b'),
      violations: [violation('/a\u001b[2J', 'type', 'must be text')],
    })
    // biome-ignore lint/suspicious/noControlCharactersInRegex: those are looked for
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/)
    expect(text).toContain('\\u009b31m')
    const raw = await shown({ value: 'not JSON \u001b]0;owned\u0007' })
    // biome-ignore lint/suspicious/noControlCharactersInRegex: those are looked for
    expect(raw).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/)
  })
})
