import type { Violation } from '../dead-letter.ts'
import { decimalOf, type NumberColumn, numberColumn, Rounded } from './numbers.ts'
import { escapeSegment } from './pointer.ts'
import type { Shape } from './shape.ts'
import { isStorable, NOT_STORABLE } from './text.ts'

/** What a check collects. */
interface Findings {
  readonly violations: Violation[]
  /** A number has digits that its double does not keep, where a double is what is stored. */
  precisionLost: boolean
  readonly path: (string | number)[]
}

type Rule = (value: unknown, findings: Findings) => void

export interface RuleFindings {
  /** At most 10. */
  readonly violations: readonly Violation[]
  readonly precisionLost: boolean
}

/**
 * The rules that hold for every stream, because JSON or Postgres could not keep the value: a text without NUL and half surrogates, an
 * integer within 2^53 - 1, a number that fits its column without being rounded. They hold for the known fields alone.
 */
export interface Rules {
  /** Rules for numbers; `undefined` when the schema's own limits leave nothing to check. */
  readonly numbers: ((value: unknown) => RuleFindings) | undefined
  readonly texts: (value: unknown) => RuleFindings
}

const ENOUGH = 10

/**
 * @param columns SQL types of number columns by pointer; the entries of an array stand under `*`, so that the price in each of `lines` is
 *   `/lines/` + `*` + `/price`
 */
export function createRules(shape: Shape, columns: Readonly<Record<string, string>>): Rules {
  const numbers = ruleOf(shape, '', place => numberRule(place, columns))
  const ofText = ({ shape: { kind } }: Place) => (kind === 'string' ? textRule : kind === 'any' ? anyText : undefined)
  const texts = ruleOf(shape, '', ofText, textRule)
  return { numbers: numbers && run(numbers), texts: run(texts ?? (() => {})) }
}

function run(rule: Rule): (value: unknown) => RuleFindings {
  return value => {
    const findings: Findings = { violations: [], precisionLost: false, path: [] }
    rule(value, findings)
    return findings
  }
}

interface Place {
  readonly shape: Shape
  readonly pointer: string
}

/**
 * A rule for a place and all below it; `undefined` where there is nothing to check. Values of another type are left to the schema.
 * @param names a rule for the names of fields that may have any
 */
function ruleOf(
  shape: Shape,
  pointer: string,
  leaf: (place: Place) => Rule | undefined,
  names?: Rule,
): Rule | undefined {
  if (shape.kind === 'array') {
    const entries = ruleOf(shape.entries, `${pointer}/*`, leaf, names)
    return entries && forEntries(entries)
  }
  if (shape.kind !== 'object') return leaf({ shape, pointer })
  const members = [...shape.members].flatMap(([name, member]): [string, Rule][] => {
    const rule = ruleOf(member.shape, `${pointer}/${escapeSegment(name)}`, leaf, names)
    return rule === undefined ? [] : [[name, rule]]
  })
  const others = shape.others && withNames(ruleOf(shape.others, `${pointer}/*`, leaf, names), names)
  if (members.length === 0 && others === undefined) return undefined
  return forMembers(members, others, new Set(shape.members.keys()))
}

function withNames(rule: Rule | undefined, names: Rule | undefined): ((name: string) => Rule) | undefined {
  if (names === undefined) return rule && (() => rule)
  return name => (value, findings) => {
    names(name, findings)
    rule?.(value, findings)
  }
}

function forEntries(rule: Rule): Rule {
  return (value, findings) => {
    if (!Array.isArray(value)) return
    for (let index = 0; index < value.length && findings.violations.length < ENOUGH; index++) {
      at(index, value[index], rule, findings)
    }
  }
}

function forMembers(
  members: readonly (readonly [string, Rule])[],
  others: ((name: string) => Rule) | undefined,
  known: ReadonlySet<string>,
): Rule {
  return (value, findings) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return
    const object = value as Readonly<Record<string, unknown>>
    for (const [name, rule] of members) {
      if (Object.hasOwn(object, name)) at(name, object[name], rule, findings)
    }
    if (others === undefined) return
    for (const name of Object.keys(object)) {
      if (findings.violations.length >= ENOUGH) return
      // The names are data of the record, and are not quoted.
      if (!known.has(name)) at('*', object[name], others(name), findings)
    }
  }
}

function at(segment: string | number, value: unknown, rule: Rule, findings: Findings): void {
  findings.path.push(segment)
  rule(value, findings)
  findings.path.pop()
}

function report({ violations, path }: Findings, keyword: string, message: string): void {
  if (violations.length >= ENOUGH) return
  violations.push({ pointer: path.map(segment => `/${escapeSegment(String(segment))}`).join(''), keyword, message })
}

const textRule: Rule = (value, findings) => {
  if (typeof value === 'string' && !isStorable(value)) report(findings, 'pattern', NOT_STORABLE)
}

/** In `jsonb` the names of fields are text, too. */
const anyText: Rule = (value, findings) => {
  if (typeof value !== 'object' || value === null) return textRule(value, findings)
  for (const [name, inner] of Object.entries(value)) {
    if (findings.violations.length >= ENOUGH) return
    if (!Array.isArray(value)) textRule(name, findings)
    anyText(inner, findings)
  }
}

function numberRule({ shape, pointer }: Place, columns: Readonly<Record<string, string>>): Rule | undefined {
  const type = columns[pointer]
  const column = type === undefined ? undefined : numberColumn(type)
  if (shape.kind === 'any') return anyNumber
  if (shape.kind !== 'integer' && shape.kind !== 'number') return undefined
  const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = shape
  if (column !== undefined && !(column.type === 'integer' && minimum >= column.minimum && maximum <= column.maximum)) {
    return columnRule(column, type ?? '', shape.kind)
  }
  if (shape.kind === 'number') return doubleRule
  return minimum >= Number.MIN_SAFE_INTEGER && maximum <= Number.MAX_SAFE_INTEGER ? undefined : integerRule
}

const LEAST = Number.MIN_SAFE_INTEGER
const MOST = Number.MAX_SAFE_INTEGER

const integerRule: Rule = (value, findings) => {
  const number = value instanceof Rounded ? value.value : value
  if (typeof number !== 'number') return
  if (number > MOST)
    return report(findings, 'maximum', `must be at most ${MOST}, the largest integer that JSON programs keep`)
  if (number < LEAST)
    return report(findings, 'minimum', `must be at least ${LEAST}, the least integer that JSON programs keep`)
  if (value instanceof Rounded) report(findings, 'precision', 'must have no more digits than JSON programs keep')
}

const doubleRule: Rule = (value, findings) => {
  if (value instanceof Rounded) findings.precisionLost = true
}

/** Numbers within `jsonb`. There is no way to hold an infinite one, which is what `1e400` becomes. */
const anyNumber: Rule = (value, findings) => {
  const number = value instanceof Rounded ? value.value : value
  if (typeof number === 'number') {
    if (!Number.isFinite(number)) return report(findings, 'maximum', 'must be a number that JSON programs can hold')
    if (value instanceof Rounded) findings.precisionLost = true
    return
  }
  if (typeof value !== 'object' || value === null) return
  for (const inner of Object.values(value)) {
    if (findings.violations.length >= ENOUGH) return
    anyNumber(inner, findings)
  }
}

function columnRule(column: NumberColumn, type: string, kind: 'integer' | 'number'): Rule {
  const base = kind === 'integer' ? integerRule : undefined
  return (value, findings) => {
    const before = findings.violations.length
    base?.(value, findings)
    if (findings.violations.length > before) return
    if (value instanceof Rounded) {
      return report(
        findings,
        'precision',
        `must have no more digits than JSON programs keep, because its column is ${type}`,
      )
    }
    if (typeof value !== 'number') return
    switch (column.type) {
      case 'integer':
        if (value > column.maximum)
          report(findings, 'maximum', `must be at most ${column.maximum}, because its column is ${type}`)
        if (value < column.minimum)
          report(findings, 'minimum', `must be at least ${column.minimum}, because its column is ${type}`)
        return
      case 'float4':
        if (Math.fround(value) !== value)
          report(findings, 'precision', `must be a number that a column of type ${type} holds exactly`)
        return
      case 'decimal': {
        const { digits, exponent } = decimalOf(String(value))
        if (-exponent > column.scale) {
          return report(
            findings,
            'scale',
            `must have at most ${count(column.scale, 'decimal')}, because its column is ${type}`,
          )
        }
        if (digits.length + exponent > column.whole) {
          const most = count(column.whole, 'digit')
          report(
            findings,
            'precision',
            `must have at most ${most} before the decimal point, because its column is ${type}`,
          )
        }
      }
    }
  }
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
