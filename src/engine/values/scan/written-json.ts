import { createCopyInput, type Memory, NULL } from './memory.ts'
import { instantOf } from './objects.ts'
import type { ObjectPlace, Place } from './places.ts'

/** Writes the canonical JSON of a place to the output. @param frame that its cells are in @returns the place behind it */
export type WriteJson = (at: number, frame: number) => number

/**
 * Compiles a function that writes the canonical JSON of a place (`createJson`) from what a scan has left in the memory. The place must
 * be there, and not null.
 */
export function createJsonWriter(place: Place, memory: Memory): WriteJson {
  const functions: string[] = []
  const helpers = createHelpers(memory)
  const code = valueCode({ ...place, nullable: false }, `f + ${place.cell}`)
  const build = new Function(
    ...['memory', 'helpers'],
    `'use strict'
const { tape, outputView: view } = memory
const { text, instant, number, slice } = helpers
${functions.join('\n')}
return function write(q, f) {
  ${code}
  return q
}`,
  )
  return build(memory, helpers) as WriteJson

  /** Four bytes at a time, because the code knows them; what is written beyond the end is written over by what follows. */
  function put(text: string): string {
    const bytes = Buffer.from(text)
    const words: string[] = []
    for (let at = 0; at < bytes.length; at += 4) {
      const word = Buffer.alloc(4)
      bytes.copy(word, 0, at)
      words.push(`view.setInt32(q + ${at}, ${word.readInt32BE()})`)
    }
    return `{ ${words.join('; ')}; q += ${bytes.length} }`
  }

  /** Statements that move `q` behind what stands in the cell. */
  function valueCode(inner: Place, cell: string): string {
    if (inner.nullable) {
      return `if (tape[${cell}] === ${NULL}) ${put('null')} else { ${valueCode({ ...inner, nullable: false }, cell)} }`
    }
    switch (inner.kind) {
      case 'string':
        return `q = ${inner.format === 'date-time' ? 'instant' : 'text'}(q, ${cell})`
      case 'integer':
        return `q = slice(q, ${cell})`
      case 'number':
        return `q = number(q, ${cell})`
      case 'boolean':
        return `q = slice(q, ${cell})`
      case 'object':
        return `q = ${objectFunction(inner)}(q, f)`
      case 'array': {
        const entry = valueCode(inner.entries, `f + ${inner.entries.cell}`)
        const name = `list${functions.length}`
        functions.push(`function ${name}(q, cell) {
  const count = tape[cell + 1]
  ${put('[')}
  for (let f = tape[cell], n = 0; n < count; n++, f = tape[f]) {
    if (n > 0) ${put(',')}
    ${entry}
  }
  ${put(']')}
  return q
}`)
        return `q = ${name}(q, ${cell})`
      }
    }
  }

  function objectFunction({ members }: ObjectPlace): string {
    const fields = members.map(({ name, required, place }, index) => {
      // A comma is certain behind a field that is.
      const isBehindCertain = members.slice(0, index).some(before => before.required)
      const comma = index === 0 ? '' : isBehindCertain ? put(',') : `if (any) ${put(',')}`
      const key = put(`${JSON.stringify(name)}:`)
      const lines = `${comma}\n${key}\n${valueCode(place, `f + ${place.cell}`)}`
      return required ? lines : `if (tape[f + ${place.cell}] !== 0) {\n${lines}\nany = true\n}`
    })
    const name = `object${functions.length}`
    functions.push(`function ${name}(q, f) {
  let any = false
  ${put('{')}
  ${fields.join('\n  ')}
  ${put('}')}
  return q
}`)
    return name
  }
}

const QUOTE = 0x22
const ZERO = 0x30
const DOT = 0x2e

function createHelpers(memory: Memory) {
  const { input, tape, numbers, texts, output } = memory
  const copy = createCopyInput(memory)

  function text(at: number, cell: number): number {
    const start = tape[cell] as number
    const end = tape[cell + 1] as number
    if (end < 0) return at + output.write(JSON.stringify(texts[-end - 1]), at)
    output[at] = QUOTE
    const behind = copy(at + 1, start, end)
    output[behind] = QUOTE
    return behind + 1
  }

  function instant(at: number, cell: number): number {
    return at + output.write(`"${instantOf(numbers, cell)}"`, at)
  }

  function slice(at: number, cell: number): number {
    return copy(at, tape[cell] as number, tape[cell + 1] as number)
  }

  /** JavaScript's text of the number, which is the record's own where that has no zeros at its end. */
  function number(at: number, cell: number): number {
    const start = tape[cell] as number
    const end = tape[cell + 1] as number
    const value = Math.abs(numbers[cell] as number)
    const isShort = value === 0 || value >= 0.001
    let hasPoint = false
    for (let i = start; i < end; i++) if (input[i] === DOT) hasPoint = true
    if (isShort && !(hasPoint && input[end - 1] === ZERO)) return copy(at, start, end)
    return at + output.write(String(numbers[cell]), at)
  }

  return { text, instant, number, slice }
}
