import { isAscii, isUtf8 } from 'node:buffer'
import { MAX_INPUT, type Memory, TAPE_END } from './memory.ts'
import type { ArrayPlace, Layout, NumberPlace, ObjectPlace, Place, TextPlace } from './places.ts'
import { createScalars } from './scalars.ts'
import { createSkips } from './skip.ts'
import { classPattern, createTexts, PLAIN, textCheck } from './texts.ts'

export interface Scanner {
  /**
   * Reads a record's value into the memory and holds it against the schema.
   * @returns whether it is valid without doubt. `false` says nothing: the parser of JSON and ajv know.
   */
  scan(value: Buffer): boolean
  /** Whether the last value has fields that the schema does not know. */
  hasUnknown(): boolean
}

/** What the generated code takes from outside. */
interface Parts {
  readonly memory: Memory
  readonly tables: Uint8Array[]
  readonly checks: ((start: number, end: number) => boolean)[]
  readonly fits: ((text: string) => boolean)[]
}

/**
 * Compiles the code that reads the values of a schema in one pass, from the first byte to the last. The fields of an object come in the
 * same order in all records of a producer: which one follows which is remembered, and only compared.
 */
export function createScanner(layout: Layout, memory: Memory): Scanner {
  const parts: Parts = { memory, tables: [], checks: [], fits: [] }
  const code = new Code(parts)
  const root = code.objectFunction(layout.root, 1)
  const helpers = { ...createTexts(memory), ...createScalars(memory), ...createSkips(memory) }
  const build = new Function(
    'parts',
    'helpers',
    `'use strict'\n${PROLOGUE}\n${code.text()}\nreturn ${entry(root, layout)}`,
  )
  const { read, unknown } = build({ ...parts, ...memory }, helpers) as {
    read: (length: number) => boolean
    unknown: () => boolean
  }
  const { input } = memory
  return {
    scan(value) {
      const { length } = value
      if (length > MAX_INPUT || !(isAscii(value) || isUtf8(value))) return false
      value.copy(input, 0)
      input[length] = 0
      memory.texts.length = 0
      return read(length)
    },
    hasUnknown: unknown,
  }
}

const PROLOGUE = `const { input: b, inputView: view, tape, numbers, tables, checks, fits } = parts
const { space, name, value, integer, decimal, fits: digits, boolean, null: nothing, instant, date, length, escaped, isLowerCase } = helpers
let top = 0
let unknown = false`

function entry(root: string, { cells }: Layout): string {
  return `{
  unknown: () => unknown,
  read(length) {
    top = ${cells}
    unknown = false
    tape.fill(0, 0, ${cells})
    let p = space(0)
    if (b[p] !== 123) return false
    p = ${root}(p + 1, 0)
    return p !== 0 && space(p) === length
  },
}`
}

/** Below this a loop is cheaper than a call. */
const LOOP_CELLS = 16

class Code {
  readonly #parts: Parts
  readonly #functions: string[] = []
  readonly #texts = new Map<string, string>()
  #names = 0

  constructor(parts: Parts) {
    this.#parts = parts
  }

  text(): string {
    return this.#functions.join('\n')
  }

  #declare(prefix: string, of: (name: string) => string): string {
    this.#names += 1
    const name = `${prefix}${this.#names}`
    this.#functions.push(of(name))
    return name
  }

  /** A function of the place behind the brace and the frame. @param depth objects and arrays around what is in it */
  objectFunction({ members, isOpen }: ObjectPlace, depth: number): string {
    const count = members.length
    const required = members.filter(member => member.required).length
    const cases = members.map(({ place, required }, index) => {
      const cell = `f + ${place.cell}`
      const count = required ? 'seen++; ' : ''
      return `case ${index}: if (tape[${cell}] !== 0) return 0; ${this.#valueCode(place, cell, depth)}; ${count}break`
    })
    const names = members.map(member => Buffer.from(JSON.stringify(member.name)))
    const is = names.map((bytes, index) => `case ${index}: return ${isBytes(bytes)}`)
    return this.#declare(
      'object',
      own => `const after_${own} = new Uint16Array([${members.map((_, index) => (index + 1) % count).join()}, 0])
const lengths_${own} = new Uint16Array([${names.map(bytes => bytes.length).join()}])
function is_${own}(g, p) {
  switch (g) { ${is.join('\n')} }
  return false
}
function find_${own}(p) {
  for (let g = 0; g < ${count}; g++) if (is_${own}(g, p)) return g
  return ${count}
}
function ${own}(p, f) {
  let prev = ${count}
  let seen = 0
  if (b[p] <= 32) p = space(p)
  if (b[p] === 125) return ${required === 0 ? 'p + 1' : '0'}
  for (;;) {
    let g = after_${own}[prev]
    if (!is_${own}(g, p)) {
      g = find_${own}(p)
      if (g < ${count}) after_${own}[prev] = g
    }
    if (g < ${count}) {
      prev = g
      p += lengths_${own}[g]
      if (b[p] !== 58) {
        p = space(p)
        if (b[p] !== 58) return 0
      }
      p++
      if (b[p] <= 32) p = space(p)
      switch (g) {
        ${cases.join('\n')}
      }
    } else {
      ${isOpen ? unknownField(depth) : 'return 0'}
    }
    if (p === 0) return 0
    if (b[p] <= 32) p = space(p)
    if (b[p] === 125) return seen === ${required} ? p + 1 : 0
    if (b[p] !== 44) return 0
    p++
    if (b[p] <= 32) p = space(p)
  }
}`,
    )
  }

  /** Code that moves `p` behind the value, to 0 or out of the function when it is not to be scanned. */
  #valueCode(place: Place, cell: string, depth: number): string {
    if (place.nullable) {
      const code = this.#valueCode({ ...place, nullable: false }, cell, depth)
      return `if (b[p] === 110) p = nothing(p, ${cell}); else { ${code} }`
    }
    switch (place.kind) {
      case 'string':
        return `p = ${this.#textFunction(place)}(p, ${cell})`
      case 'integer':
      case 'number':
        return numberCode(place, cell)
      case 'boolean': {
        const read = `p = boolean(p, ${cell})`
        if (place.values === undefined) return read
        return `${read}; if (!(${isOneOf(place.values.map(Number), `numbers[${cell}]`)})) return 0`
      }
      case 'object':
        return `if (b[p] !== 123) return 0; tape[${cell}] = p; p = ${this.objectFunction(place, depth + 1)}(p + 1, f)`
      case 'array':
        return `p = ${this.#arrayFunction(place, depth + 1)}(p, ${cell})`
    }
  }

  #arrayFunction({ entries, cells, minimum, maximum }: ArrayPlace, depth: number): string {
    const value = this.#valueCode(entries, `f + ${entries.cell}`, depth)
    const clear = cells > LOOP_CELLS ? 'tape.fill(0, f, top)' : 'for (let cell = f; cell < top; cell++) tape[cell] = 0'
    const most = maximum === Number.POSITIVE_INFINITY ? '' : `if (count > ${maximum}) return 0`
    return this.#declare(
      'array',
      own => `function ${own}(p, cell) {
  if (b[p] !== 91) return 0
  p++
  if (b[p] <= 32) p = space(p)
  tape[cell] = 1
  tape[cell + 1] = 0
  if (b[p] === 93) return ${minimum > 0 ? '0' : 'p + 1'}
  let count = 0
  let before = cell
  for (;;) {
    const f = top
    top = f + ${cells}
    if (top > ${TAPE_END}) return 0
    ${clear}
    tape[before] = f
    before = f
    ${value}
    if (p === 0) return 0
    count++
    ${most}
    if (b[p] <= 32) p = space(p)
    if (b[p] === 93) break
    if (b[p] !== 44) return 0
    p++
    if (b[p] <= 32) p = space(p)
  }
  tape[cell + 1] = count
  return ${minimum > 1 ? `count < ${minimum} ? 0 : ` : ''}p + 1
}`,
    )
  }

  #textFunction(place: TextPlace): string {
    const { rules, format, isLowerCase } = place
    const id = JSON.stringify([rules, format, isLowerCase])
    const known = this.#texts.get(id)
    if (known !== undefined) return known
    const { tables, checks, fits } = this.#parts
    const table = rules.pattern === undefined ? undefined : classPattern(rules.pattern)
    const minimum = Math.max(rules.minimum, table?.minimum ?? 0)
    const maximum = Math.min(rules.maximum, table?.maximum ?? Number.POSITIVE_INFINITY)
    const { check } = createTexts(this.#parts.memory)
    const others = check({
      ...rules,
      ...(table !== undefined && { pattern: undefined }),
      ...(format !== undefined && { format: undefined }),
    })
    const lines = [lengthCode(minimum, maximum)]
    if (others !== undefined) lines.push(`if (!checks[${checks.push(others) - 1}](start, p)) return 0`)
    if (isLowerCase) lines.push('if (!isLowerCase(start, p)) return 0')
    if (format === 'date-time') lines.push('if (!instant(start, p, cell)) return 0')
    if (format === 'date') lines.push('if (!date(start, p, cell)) return 0')
    // What is also read as a number, or must have a spelling, is not looked for behind escapes.
    const whole = format !== undefined || isLowerCase ? () => false : textCheck(rules)
    const name = this.#declare(
      'text',
      own => `const table_${own} = tables[${tables.push(table?.table ?? PLAIN) - 1}]
const fits_${own} = fits[${fits.push(whole) - 1}]
function ${own}(p, cell) {
  if (b[p] !== 34) return 0
  const start = ++p
  while (table_${own}[b[p]] === 1) p++
  if (b[p] !== 34) return escaped(p, start, cell, fits_${own})
  ${lines.join('\n  ')}
  tape[cell] = start
  tape[cell + 1] = p
  return p + 1
}`,
    )
    this.#texts.set(id, name)
    return name
  }
}

/** A character has at least one byte and at most four. */
function lengthCode(minimum: number, maximum: number): string {
  const lines: string[] = []
  if (minimum > 0) lines.push(`if (p - start < ${minimum}) return 0`)
  if (minimum > 1) lines.push(`if (p - start < ${4 * minimum} && length(start, p) < ${minimum}) return 0`)
  if (maximum < Number.POSITIVE_INFINITY) {
    lines.push(`if (p - start > ${maximum} && length(start, p) > ${maximum}) return 0`)
  }
  return lines.join('\n  ')
}

function numberCode({ kind, minimum, maximum, above, below, digits, values }: NumberPlace, cell: string): string {
  const number = `numbers[${cell}]`
  const wrong = [
    'p === 0',
    ...(minimum > Number.NEGATIVE_INFINITY ? [`${number} < ${minimum}`] : []),
    ...(maximum < Number.POSITIVE_INFINITY ? [`${number} > ${maximum}`] : []),
    ...(above > Number.NEGATIVE_INFINITY ? [`${number} <= ${above}`] : []),
    ...(below < Number.POSITIVE_INFINITY ? [`${number} >= ${below}`] : []),
    ...(digits === undefined ? [] : [`!digits(${cell}, ${digits.whole}, ${digits.scale})`]),
    ...(values === undefined ? [] : [`!(${isOneOf(values, number)})`]),
  ]
  const read = kind === 'integer' ? 'integer' : 'decimal'
  return `p = ${read}(p, ${cell}); if (${wrong.join(' || ')}) return 0`
}

function isOneOf(values: readonly number[], number: string): string {
  return values.length === 0 ? 'false' : values.map(value => `${number} === ${value}`).join(' || ')
}

function unknownField(depth: number): string {
  return `p = name(p)
      if (p === 0) return 0
      p = space(p)
      if (b[p] !== 58) return 0
      p = value(space(p + 1), ${depth})
      unknown = true`
}

/** Whether these bytes stand at `p`, four at a time. The last four may overlap those before them. */
function isBytes(bytes: Buffer): string {
  if (bytes.length < 4) return [...bytes].map((code, index) => `b[p + ${index}] === ${code}`).join(' && ')
  const words: string[] = []
  for (let at = 0; at < bytes.length; at += 4) {
    const from = Math.min(at, bytes.length - 4)
    words.push(`view.getInt32(p + ${from}, true) === ${bytes.readInt32LE(from)}`)
  }
  return words.join(' && ')
}
