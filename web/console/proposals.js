import { quoted } from './filter-text.js'
import { REASONS, STATES } from './words.js'

/** What may come next in a filter. Plain functions of its text: the field that shows them is in `complete.js`. */

const FIELDS = {
  state: 'open, parked, resolved …',
  reason: 'why it failed',
  error: 'the rule or SQLSTATE',
  pointer: 'the place in the value',
  key: 'key of the value',
  id: 'topic-partition-offset',
  topic: 'where the record stood',
  partition: 'where the record stood',
  age: 'since it failed',
  after: 'it failed from this time on',
  before: 'it failed earlier',
  replays: 'how often it was redriven',
  replay: 'in which redrive',
  text: 'in message, error, pointer and key',
  value: 'in the value of the record',
}
/** Values that need no quotes, because the grammar knows them. */
const KNOWN = {
  state: Object.keys(STATES),
  age: ['<1h', '<1d', '>1h', '>1d', '>7d'],
  after: ['1h', '24h', '7d', 'today', 'yesterday'],
  before: ['1h', '24h', '7d', 'today', 'yesterday'],
  replays: ['0', '>0', '>=2'],
}
const MOST = 12

/**
 * @typedef {{ text: string, words: string | undefined }} Proposal `text` replaces what stands there
 * @typedef {{ from: number, to: number, list: Proposal[] }} Proposals of the part of the filter in [from, to)
 */

/**
 * @param {string} filter
 * @param {number} caret an index in it
 * @param {Partial<Record<string, readonly string[]>>} values by field, as `GET /admin/dead-letters/field-values` lists them
 * @param {boolean} [asked] whether the user asks for them: then also where nothing is typed yet
 * @returns {Proposals}
 */
export function proposalsAt(filter, caret, values, asked = false) {
  const term = termAt(filter, caret)
  const [, sign = '', name = '', colon = ''] = /^(-?)([A-Za-z]*)(:?)/.exec(term.text) ?? []
  const nameAt = term.from + sign.length
  const valuesAt = nameAt + name.length + 1
  const none = { from: caret, to: caret, list: [] }
  if (colon === '' || caret < valuesAt) {
    if (colon === '' && name.length < term.text.length - sign.length) return none
    const typed = filter.slice(nameAt, caret)
    if (typed === '' && !asked) return none
    const fields = Object.keys(FIELDS).filter(field => field.startsWith(typed.toLowerCase()))
    const list = fields.map(field => ({ text: `${field}:`, words: FIELDS[field] }))
    return { from: nameAt, to: valuesAt - (colon === '' ? 1 : 0), list }
  }
  const field = name.toLowerCase()
  const { from, to } = alternativeAt(filter, valuesAt, term.to, caret)
  const typed = filter.slice(from, caret).replace(/^"/, '')
  const known = field === 'value' ? (values.pointer ?? []).filter(place => place !== '') : valuesOf(field, values)
  // What is complete needs no proposal.
  const list = ranked(known, typed).filter(value => asked || value !== typed)
  return {
    from,
    to,
    list: list.map(value => ({ text: field in KNOWN ? value : quoted(value), words: wordsOf(field, value) })),
  }
}

/** The filter with a proposal in its place, and where the caret stands then. @param {string} filter @param {Proposals} at */
export function accepted(filter, { from, to }, { text }) {
  const rest = filter.slice(to)
  // After a value comes the next term, or an alternative that the user begins with a comma.
  const blank = text.endsWith(':') || rest !== '' ? '' : ' '
  return { filter: filter.slice(0, from) + text + blank + rest, caret: from + text.length + blank.length }
}

/** The term that the caret is in, or behind. Blanks in quotes are part of it. */
function termAt(filter, caret) {
  for (const { index, 0: text } of filter.matchAll(/(?:"(?:[^"\\]|\\.)*"?|[^\s"])+/g)) {
    if (index <= caret && caret <= index + text.length) return { from: index, to: index + text.length, text }
  }
  return { from: caret, to: caret, text: '' }
}

/** Between the commas around the caret. */
function alternativeAt(filter, start, end, caret) {
  let from = start
  let inQuotes = false
  for (let at = start; at < end; at++) {
    if (filter[at] === '\\') at += 1
    else if (filter[at] === '"') inQuotes = !inQuotes
    else if (filter[at] === ',' && !inQuotes) {
      if (at >= caret) return { from, to: at }
      from = at + 1
    }
  }
  return { from, to: end }
}

function valuesOf(field, values) {
  const known = field === 'reason' ? Object.keys(REASONS) : (KNOWN[field] ?? [])
  return [...new Set([...(values[field] ?? []), ...known])]
}

/** First what begins with it, then what contains it, each in its own order. */
function ranked(names, typed) {
  const wanted = typed.toLowerCase()
  const begins = names.filter(name => name.toLowerCase().startsWith(wanted))
  const contains = names.filter(name => !begins.includes(name) && name.toLowerCase().includes(wanted))
  return [...begins, ...contains].slice(0, MOST)
}

function wordsOf(field, value) {
  if (field === 'state') return STATES[value] === value ? undefined : STATES[value]
  if (field === 'reason') return REASONS[value]
  return value === '' ? { pointer: 'the record as a whole', error: 'without one' }[field] : undefined
}
