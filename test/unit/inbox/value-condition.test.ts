import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { escapeSegment } from '#src/engine/values/pointer.ts'
import { parseFilter } from '#src/inbox/filter-reader.ts'
import { createValueTest, likeness } from '#src/inbox/value-condition.ts'
import { measureCpuMs } from '../../support/cpu-time.ts'

/** Whether the value meets the conditions of the filter. */
function meets(filter: string, value: unknown): boolean {
  const parsed = parseFilter(filter)
  if (!parsed.ok) throw new Error(parsed.message)
  const terms = parsed.filter.terms.flatMap(term => (term.field === 'value' ? [term] : []))
  return createValueTest(terms)(value instanceof Buffer ? value : Buffer.from(JSON.stringify(value)))
}

const ORDER = {
  payment: { bank: 'alpha', amount: 1.5, paid: false, note: null, '': 'empty', 'a/b~c': 1 },
  items: [
    { brand: 'Vivienne', sizes: [1, 2] },
    { brand: 'Otto', price: 0 },
  ],
}

describe('a condition on the value', () => {
  it.each<[filter: string, expected: boolean]>([
    ['value:/payment/bank=alpha', true],
    ['value:/payment/bank=beta,alpha', true],
    ['value:/payment/bank=Alpha', false],
    ['value:/payment/bank=al*', true],
    ['value:/payment/bank=*ph*', true],
    ['value:/payment/bank!=alpha', false],
    ['value:/payment/bank!=beta', true],
    ['-value:/payment/bank=alpha', false],
    ['-value:/payment/city=alpha', true],
    ['value:/payment/city!=alpha', false],
    ['value:/payment/bank', true],
    ['value:/payment/note', true],
    ['value:/payment/city', false],
    ['-value:/payment/city', true],
    ['value:/payment', true],
    ['value:/payment=*', false],
    ['value:/payment!=x', true],
    ['value:/payment/amount=1.50', true],
    ['value:/payment/amount=1*', true],
    ['value:/payment/amount=15e-1', true],
    ['value:/payment/paid=false', true],
    ['value:/payment/note=null', true],
    ['value:/payment/=empty', true],
    ['value:/payment/a~1b~0c=1', true],
    ['value:/items/0/brand=Vivienne', true],
    ['value:/items/*/brand=Otto', true],
    ['value:/items/*/brand=Anna', false],
    ['value:/items/*/sizes/*=2', true],
    ['value:/*/bank=alpha', true],
    ['value:/items/length', false],
    ['value:/payment/constructor', false],
    ['value:/payment/bank/0', false],
    ['value:/payment/bank=alpha value:/items/*/price=0', true],
    ['value:/payment/bank=alpha value:/items/*/price=1', false],
  ])('%s: %s', (filter, expected) => {
    expect(meets(filter, ORDER)).toBe(expected)
  })

  it('finds nothing in what is no JSON, and nothing at all', () => {
    for (const value of [Buffer.from('{'), Buffer.from([0xff]), Buffer.alloc(0)]) {
      expect(meets('value:/a', value)).toBe(false)
      expect(meets('-value:/a=1', value)).toBe(true)
    }
    expect(createValueTest([])(null)).toBe(true)
  })

  it('stands values that are nested deeply, and pointers that are long', () => {
    const deep = Buffer.from(`${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`)
    expect(meets(`value:${'/a'.repeat(10_000)}=1`, deep)).toBe(true)
    expect(meets(`value:${'/a'.repeat(10_001)}`, deep)).toBe(false)
    expect(meets(`value:${'/*'.repeat(10_000)}=1`, deep)).toBe(true)
  })

  it('finds any text at any name, however they are written', () => {
    const name = fc.string().filter(text => text !== '*' && text !== '__proto__' && !text.includes('\0'))
    const scalar = fc.string().filter(text => !text.includes('\0') && !text.includes('*') && text !== '•••')
    fc.assert(
      fc.property(name, scalar, (name, text) => {
        const quoted = (given: string) => `"${given.replace(/["\\]/g, '\\$&')}"`
        const filter = `value:${quoted(`/${escapeSegment(name)}`)}=${quoted(text)}`
        expect(meets(filter, Object.fromEntries([[name, text]]))).toBe(true)
        expect(meets(filter, Object.fromEntries([[name, `${text}!`]]))).toBe(false)
      }),
    )
  })

  it('compares with many asterisks in no time', () => {
    const cpuMs = measureCpuMs()
    expect(likeness('*a'.repeat(2_000))('a'.repeat(100_000))).toBe(true)
    expect(likeness(`${'*a'.repeat(2_000)}*b`)('a'.repeat(100_000))).toBe(false)
    expect(cpuMs()).toBeLessThan(2_000)
  })
})
