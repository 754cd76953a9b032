import { describe, expect, it } from 'vitest'
import { compileStream } from '#src/engine/definition/compile.ts'
import type { StreamDefinition } from '#src/engine/definition.ts'
import type { Stream } from '#src/engine/stream.ts'
import { orders } from '#src/streams/orders/definition.ts'
import { badInputs, MAX_BYTES } from '../../support/bad-inputs.ts'
import { judgeOnBothRoads } from '../../support/both-roads.ts'
import { rounds } from '../../support/effort.ts'
import { goodInputs } from '../../support/good-inputs.ts'
import { recordsOf, type Sent, short } from '../../support/one-pass-records.ts'
import { returns } from '../../support/returns-definition.ts'

const names = { topic: 't', dlqTopic: 't.dlq', groupId: 'g', maxBytes: MAX_BYTES }
const streams = [orders, returns].map(definition => compileStream(definition as StreamDefinition, names))

describe.each(streams)('the stream $name', stream => {
  const records = recordsOf(stream, rounds(100, 250))
  const small = records.map(short)

  function shareTaken(sent: readonly Sent[]): number {
    return sent.filter(record => judgeOnBothRoads(stream, record) === 'one pass').length / sent.length
  }

  it('takes 99 of 100 valid records in one pass, and makes the same of them as the validator', () => {
    expect(shareTaken(records)).toBeGreaterThanOrEqual(0.99)
    expect(shareTaken(small)).toBeGreaterThanOrEqual(0.99)
  })

  it('takes them with spaces between the fields, and with fields in another order', () => {
    for (const { key, value } of small) {
      const parsed: unknown = JSON.parse(String(value))
      for (const text of [JSON.stringify(parsed, null, 2), JSON.stringify(backwards(parsed))]) {
        expect(judgeOnBothRoads(stream, { key, value: Buffer.from(text) })).toBe('one pass')
      }
    }
  })

  it('takes them with fields that the schema does not know, and with escapes for all letters beyond ASCII', () => {
    for (const { key, value } of small) {
      const unknown = `{"coupon":{"a":[1e400,-0.5,"\\ud800\\n",true,false,null,{}]},${String(value).slice(1)}`
      const ascii = String(value).replace(/[^ -~]/g, unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      for (const text of [unknown, ascii]) {
        expect(judgeOnBothRoads(stream, { key, value: Buffer.from(text) })).toBe('one pass')
      }
    }
  })

  it('takes no record that the validator turns down', () => {
    for (const record of recordsOf(stream, rounds(50, 120), 0.9)) judgeOnBothRoads(stream, record)
  })
})

describe('inputs that break services', () => {
  const [stream] = streams as [Stream]

  it.each(badInputs)('are left to the validator: $name', ({ value }) => {
    expect(judgeOnBothRoads(stream, { key: null, value })).toBe('validator')
  })

  it.each(goodInputs)('are stored all the same: $name', ({ key, value }) => {
    judgeOnBothRoads(stream, { key, value })
  })
})

function backwards(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(backwards)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([name, inner]) => [name, backwards(inner)]),
  )
}
