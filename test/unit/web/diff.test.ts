import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { lineDiff } from '../../../web/console/diff.js'

const shown = (before: string, after: string, around?: number) =>
  lineDiff(before, after, around).map(({ kind, text }) => kind + text)

describe('what changed, line by line', () => {
  it('shows changes with their neighbours and leaves out the rest', () => {
    const before = 'a\nb\nc\nd\ne\nf\ng\nh'
    expect(shown(before, before.replace('d', 'D'), 1)).toEqual(['…', ' c', '-d', '+D', ' e', '…'])
    expect(shown(before, `${before}\ni`, 1)).toEqual(['…', ' h', '+i'])
    expect(shown(before, before)).toEqual([])
  })

  it('tells both texts, whatever changed', () => {
    const text = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 30 }).map(lines => lines.join('\n'))
    fc.assert(
      fc.property(text, text, (before, after) => {
        fc.pre(before !== after)
        const lines = lineDiff(before, after, 1_000)
        const of = (left: string) => lines.filter(({ kind }) => kind !== left).map(({ text }) => text)
        expect(of('+').join('\n')).toBe(before)
        expect(of('-').join('\n')).toBe(after)
      }),
    )
  })
})
