import type { Mistakes } from './plan.ts'

/** Reports what is wrong with a member, for definitions that no compiler has seen. @returns whether it can be used */
export type Rule = (value: unknown, place: string, mistake: Mistakes) => boolean

/** @param what completes "must be …" */
function be(what: string, is: (value: unknown) => boolean): Rule {
  return (value, place, mistake) => {
    if (is(value)) return true
    mistake(place, `must be ${what}, not ${shown(value)}`)
    return false
  }
}

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return String(value)
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`
}

const text = be('a text', value => typeof value === 'string' && value !== '')
const pointer = be('a JSON Pointer, as "/customer/id"', value => typeof value === 'string' && value !== '')
const number = be('a number', value => typeof value === 'number')
const callback = be('a function', value => typeof value === 'function')
const column = be('a column: a JSON Pointer, { at, as, type } or { as, type, from }', isColumn)
/** What has rules of its own. */
const anything: Rule = () => true

function isColumn(value: unknown): boolean {
  return (typeof value === 'string' && value !== '') || isRecord(value)
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function listOf(rule: Rule): Rule {
  const list = be('a list', Array.isArray)
  return (value, place, mistake) =>
    list(value, place, mistake) && all(value as unknown[], (one, index) => rule(one, `${place}[${index}]`, mistake))
}

/** @param what as in "a table has no such member" */
function members(what: string, rules: Readonly<Record<string, Rule>>): Rule {
  const object = be('an object', isRecord)
  return (value, place, mistake) => {
    if (!object(value, place, mistake)) return false
    return all(Object.entries(value as object), ([name, member]) => {
      const at = place === '' ? name : `${place}.${name}`
      if (!Object.hasOwn(rules, name)) {
        mistake(at, `${what} has no such member; it has ${Object.keys(rules).join(', ')}`)
        return false
      }
      return member === undefined || (rules[name] ?? anything)(member, at, mistake)
    })
  }
}

/** Unlike `every`, it asks about each: all mistakes are reported. */
function all<E>(list: readonly E[], is: (one: E, index: number) => boolean): boolean {
  return list.map(is).every(Boolean)
}

const aColumn = members('a column', { at: pointer, as: text, type: text, from: callback })

const aTable = members('a table', {
  at: pointer,
  each: pointer,
  columns: (value, place, mistake) =>
    value === 'scalars' ||
    listOf((one, at) => column(one, at, mistake) && (typeof one === 'string' || aColumn(one, at, mistake)))(
      value,
      place,
      mistake,
    ),
  position: text,
})

const tables: Rule = (value, place, mistake) =>
  be('an object with at least the root table: { returns: {} }', isRecord)(value, place, mistake) &&
  all(Object.entries(value as object), ([name, table]) => aTable(table, `${place}.${name}`, mistake))

/** A path of one value: `/returns/:id`. Express would read other characters as parts of a pattern. */
const VALUE_PATH = /^(?:\/[A-Za-z0-9_.-]+)+\/:[A-Za-z_]\w*(?:\/[A-Za-z0-9_.-]+)*$/
const PATH = /^(?:\/[A-Za-z0-9_.-]+)+$/

const http = members('"http"', {
  paths: (value, place, mistake) =>
    be('a list of at least one path', one => Array.isArray(one) && one.length > 0)(value, place, mistake) &&
    listOf(be('a path with one parameter, as "/returns/:id"', matches(VALUE_PATH)))(value, place, mistake),
  query: (value, place, mistake) =>
    members('"query"', { path: be('a path, as "/returns"', matches(PATH)), parameter: text })(value, place, mistake) &&
    needs(value, ['path', 'parameter'], place, mistake),
  ...{ viewParameter: text, fileField: text, many: text, keyField: text, one: text, keyWord: text, keyRule: text },
  codes: (value, place, mistake) =>
    members('"codes"', { malformedKey: text, notFound: text })(value, place, mistake) &&
    needs(value, ['malformedKey', 'notFound'], place, mistake),
  ...{ view: text, sample: text, summary: callback },
})

const list: Rule = (value, place, mistake) =>
  members('"list"', { newest: pointer, by: listOf(pointer) })(value, place, mistake) &&
  needs(value, ['newest'], place, mistake)

function matches(pattern: RegExp): (value: unknown) => boolean {
  return value => typeof value === 'string' && pattern.test(value)
}

function needs(value: unknown, names: readonly string[], place: string, mistake: Mistakes): boolean {
  const missing = names.filter(name => (value as Readonly<Record<string, unknown>>)[name] === undefined)
  if (missing.length > 0) mistake(place, `must have ${missing.join(' and ')}`)
  return missing.length === 0
}

/** A definition as a whole: its members, of which some have rules of their own as well. */
export const checkMembers: Rule = members('a definition', {
  ...{ name: text, topic: text, dlqTopic: text, group: text, route: text, http },
  settings: members('"settings"', { topic: text, dlqTopic: text, group: text }),
  ...{ command: text, generator: callback, schema: anything, key: pointer, tablesIn: text, tables },
  keep: be('"value"', value => value === 'value'),
  ...{ list, personal: listOf(pointer), unusual: callback, unusualKinds: listOf(text) },
  unusualReads: listOf(pointer),
  batch: members('"batch"', { maxRecords: number, maxBytes: number, lingerMs: number }),
  retry: members('"retry"', { initialMs: number, maxMs: number, maxAttempts: number }),
  storm: members('"storm"', { maxConsecutive: number, ratio: number }),
})
