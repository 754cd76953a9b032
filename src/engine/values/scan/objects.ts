import { formatInstant } from '../instant.ts'
import { type Memory, NULL } from './memory.ts'
import type { ObjectPlace, Place, PlaceMember } from './places.ts'
import { createTexts } from './texts.ts'

/**
 * Compiles a function that makes the value which a scan has left in the memory: the object that the validator gives for the same record, with
 * the same fields in the same order.
 */
export function createObjects<T>(root: ObjectPlace, memory: Memory): () => T {
  const functions: string[] = []
  const body = objectFunction(root, functions)
  const { text } = createTexts(memory)
  const { numbers } = memory
  const helpers = { text, instant: (cell: number) => instantOf(numbers, cell) }
  const build = new Function(
    ...['memory', 'helpers'],
    `'use strict'
const { tape, numbers } = memory
const { text, instant } = helpers
${functions.join('\n')}
return () => ${body}(0)`,
  )
  return build(memory, helpers) as () => T
}

/** In the canonical form. */
export function instantOf(numbers: Float64Array, cell: number): string {
  return formatInstant(BigInt(numbers[cell] as number) * 1_000_000n + BigInt(numbers[cell + 1] as number))
}

/** The expression of what stands in the cell, where there is something. */
function valueCode(place: Place, cell: string, functions: string[]): string {
  if (place.nullable) {
    const code = valueCode({ ...place, nullable: false }, cell, functions)
    return `(tape[${cell}] === ${NULL} ? null : ${code})`
  }
  switch (place.kind) {
    case 'string':
      return `${place.format === 'date-time' ? 'instant' : 'text'}(${cell})`
    case 'integer':
    case 'number':
      return `numbers[${cell}]`
    case 'boolean':
      return `numbers[${cell}] === 1`
    case 'object':
      return `${objectFunction(place, functions)}(f)`
    case 'array': {
      const entry = valueCode(place.entries, `f + ${place.entries.cell}`, functions)
      const name = `list${functions.length}`
      functions.push(`function ${name}(cell) {
  const list = []
  const count = tape[cell + 1]
  for (let f = tape[cell], n = 0; n < count; n++, f = tape[f]) list.push(${entry})
  return list
}`)
      return `${name}(${cell})`
    }
  }
}

/** The same literal as the validator's copy has, and so one hidden class for all. */
function objectFunction({ members }: ObjectPlace, functions: string[]): string {
  const end = members.findIndex(({ required }) => !required)
  const field = ({ name, place }: PlaceMember) =>
    [JSON.stringify(name), valueCode(place, `f + ${place.cell}`, functions)] as const
  const literal = (end < 0 ? members : members.slice(0, end)).map(member => field(member).join(': '))
  const later = (end < 0 ? [] : members.slice(end)).map(member => {
    const [key, value] = field(member)
    const assignment = `o[${key}] = ${value}`
    return member.required ? assignment : `if (tape[f + ${member.place.cell}] !== 0) ${assignment}`
  })
  const name = `object${functions.length}`
  functions.push(`function ${name}(f) {
  const o = { ${literal.join(', ')} }
  ${later.join('\n  ')}
  return o
}`)
  return name
}
