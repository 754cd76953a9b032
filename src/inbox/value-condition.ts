import { decode } from '../engine/values/decode.ts'
import { segmentsOf } from '../engine/values/pointer.ts'
import type { Pattern, ValueTerm } from './filter.ts'

/** A segment of a pointer that stands for every member of an object, and every item of an array. */
const ANY_MEMBER = '*'

/**
 * Whether the value of a record meets all conditions. A value that is not JSON has nothing at any place.
 * Strings are compared by their text, numbers by their amount, `true`, `false` and `null` by these words; objects and arrays
 * equal nothing. `*` in what is looked for stands for any characters.
 */
export function createValueTest(terms: readonly ValueTerm[]): (value: Buffer | null) => boolean {
  const tests = terms.map(({ not, pointer, comparison, values }) => {
    const segments = segmentsOf(pointer)
    const equals = anyOf(values)
    return (data: unknown) => {
      const found = placesOf(data, segments)
      return (
        (comparison === undefined ? found.length > 0 : found.some(at => equals(at) === (comparison === '='))) !== not
      )
    }
  })
  return value => {
    const decoded = decode(value, Number.POSITIVE_INFINITY)
    const data = decoded.ok ? decoded.data : undefined
    return tests.every(test => test(data))
  }
}

/** What stands at the pointer: nothing, one thing, or several where it has a `*`. */
function placesOf(data: unknown, segments: readonly string[]): readonly unknown[] {
  let places = data === undefined ? [] : [data]
  for (const segment of segments) {
    places = places.flatMap(place => {
      if (typeof place !== 'object' || place === null) return []
      if (segment === ANY_MEMBER) return Object.values(place)
      return Object.hasOwn(place, segment) && !(Array.isArray(place) && segment === 'length')
        ? [(place as Record<string, unknown>)[segment]]
        : []
    })
  }
  return places
}

function anyOf(patterns: readonly Pattern[]): (scalar: unknown) => boolean {
  const tests = patterns.map(pattern => {
    const isLike = likeness(pattern)
    const amount = /^-?\d/.test(pattern) ? Number(pattern) : Number.NaN
    return (scalar: unknown) => (typeof scalar === 'number' && scalar === amount) || isLike(String(scalar))
  })
  return scalar => (typeof scalar !== 'object' || scalar === null) && tests.some(test => test(scalar))
}

/** Whether a text is like the pattern. As LIKE does it, in time that grows with the text and not with its power. */
export function likeness(pattern: Pattern): (text: string) => boolean {
  const [head = '', ...rest] = pattern.split('*')
  const tail = rest.pop()
  if (tail === undefined) return text => text === pattern
  return text => {
    if (!text.startsWith(head) || !text.endsWith(tail) || text.length < head.length + tail.length) return false
    let at = head.length
    for (const part of rest) {
      const next = text.indexOf(part, at)
      if (next === -1) return false
      at = next + part.length
    }
    return at <= text.length - tail.length
  }
}
