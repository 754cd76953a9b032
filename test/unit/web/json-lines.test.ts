import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { jsonLines, placeOf, textOf } from '../../../web/console/json-lines.js'

describe('JSON as lines', () => {
  it('reads as JSON.stringify would print it', () => {
    fc.assert(
      // Of a value, and not of a text that is parsed: V8 misreads some keys with escapes (nodejs/node#63785).
      fc.property(fc.jsonValue(), value => {
        const { lines, stop } = jsonLines(JSON.stringify(value))
        expect(stop).toBeUndefined()
        expect(textOf(lines)).toBe(JSON.stringify(value, null, 2))
      }),
    )
  })

  it('keeps every literal as it was written', () => {
    const text = '{"a":1.0,"b":12345678901234567890,"a":"\\u0041","c":-0,"d":[ ],"e":{ }}'
    expect(textOf(jsonLines(text).lines)).toBe(
      '{\n  "a": 1.0,\n  "b": 12345678901234567890,\n  "a": "\\u0041",\n  "c": -0,\n  "d": [],\n  "e": {}\n}',
    )
  })

  it('takes exactly what JSON.parse takes, and says where it stops', () => {
    const isJson = (text: string) => {
      try {
        JSON.parse(text)
        return true
      } catch {
        return false
      }
    }
    const broken = fc
      .tuple(fc.json(), fc.nat(), fc.constantFrom('', ',', '}', ']', '"', ':', '1', 'x', '\n', '\\'))
      .map(([text, at, put]) => text.slice(0, at % (text.length + 1)) + put + text.slice((at % (text.length + 1)) + 1))
    fc.assert(
      fc.property(broken, text => {
        expect(jsonLines(text).stop === undefined).toBe(isJson(text))
      }),
      { numRuns: 1_000 },
    )
    expect(jsonLines('{"amount":NaN}').stop).toBe(10)
    expect(jsonLines('{"a":1} trailing').stop).toBe(8)
    expect(jsonLines('{"a":1').stop).toBe(6)
  })

  it('finds the place of a pointer, and for what is missing the nearest thing above it', () => {
    const { lines, places } = jsonLines('{"items":[{"a/b":1},{"~":[2]}],"last":{}}')
    const lineAt = (pointer: string) => {
      const { line, missing } = placeOf(places, pointer)
      return [lines[line]?.tokens.map(({ text }) => text).join(''), missing]
    }
    expect(lineAt('/items/0/a~1b')).toEqual(['"a/b": 1', undefined])
    expect(lineAt('/items/1/~0/0')).toEqual(['2', undefined])
    expect(lineAt('/last/name')).toEqual(['"last": {}', 'name'])
    expect(lineAt('/no/such')).toEqual(['{', 'no/such'])
    expect(lineAt('')).toEqual(['{', undefined])
  })

  it('has no trouble with brackets 100,000 deep', () => {
    const { lines, stop } = jsonLines('['.repeat(100_000))
    expect(stop).toBe(100_000)
    expect(lines.length).toBe(100_001)
  })
})
