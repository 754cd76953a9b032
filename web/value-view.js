import { formatNumber } from './format.js'
import { h, text } from './tree.js'

/**
 * @typedef {import('./tree.js').Child} Child
 * @typedef {import('./tree.js').Branch} Branch
 * @typedef {{ source: 'memory' | 'database', elapsedMs?: number, key: string, name: string, path: string }} Facts
 */

/** Columns of a table at most; entries with more members are laid out one below the other. */
const MAX_COLUMNS = 8

/**
 * A value of any stream for a person: its members by name, in the order in which they are stored, and the JSON as it was served.
 * Pure: the page and the server (`/view`) render the same from it.
 * @param {any} value as `GET /ROUTE/KEY` serves it
 * @param {Facts} facts
 * @returns {Branch}
 */
export function valueView(value, facts) {
  const members = Object.entries(value)
  const plain = members.filter(([, member]) => !isNested(member))
  const nested = members.filter(([, member]) => isNested(member))
  return h(
    'article',
    { class: 'order', 'aria-labelledby': 'order-title' },
    heading(facts),
    plain.length === 0 ? undefined : h('section', { class: 'card' }, pairs(plain)),
    ...nested.map(([name, member]) => card(name, member)),
    jsonCard(value, facts),
  )
}

/**
 * Where the value came from, and how long it took.
 * @param {Pick<Facts, 'source' | 'elapsedMs'>} facts
 * @returns {Branch}
 */
export function originBadge({ source, elapsedMs }) {
  return h(
    'p',
    { class: 'badge', id: 'origin', 'data-source': source },
    source === 'memory' ? 'From memory' : 'From the database',
    elapsedMs === undefined ? undefined : h('span', { class: 'badge-time' }, duration(elapsedMs)),
  )
}

/**
 * @param {unknown} value
 * @param {Pick<Facts, 'name' | 'path'>} facts
 * @returns {Branch}
 */
export function jsonCard(value, { name, path }) {
  return h(
    'details',
    { class: 'card raw' },
    h('summary', {}, 'JSON'),
    h('div', { class: 'actions' }, h('a', { href: path }, 'Open as served')),
    h(
      'pre',
      { id: 'json', tabindex: '0', role: 'region', 'aria-label': `The ${name} as JSON` },
      JSON.stringify(value, null, 2),
    ),
  )
}

/** @param {Facts} facts */
function heading(facts) {
  const { name, key } = facts
  return h(
    'header',
    { class: 'order-head' },
    h('div', {}, h('p', { class: 'eyebrow' }, name), h('h2', { id: 'order-title', class: 'uid' }, text(key))),
    originBadge(facts),
  )
}

/** @param {number} ms */
function duration(ms) {
  return `${ms < 10 ? ms.toFixed(1) : formatNumber(Math.round(ms))} ms`
}

/** @param {string} name @param {any} member an object, or an array */
function card(name, member) {
  const count = Array.isArray(member) ? ` (${formatNumber(member.length)})` : ''
  return h('section', { class: 'card' }, h('h3', {}, text(name), count), shown(member))
}

/** @param {any} value @returns {Child} */
function shown(value) {
  if (!isNested(value)) return plainText(value)
  if (!Array.isArray(value)) return pairs(Object.entries(value))
  if (value.length === 0) return h('p', { class: 'empty' }, 'none')
  const columns = columnsOf(value)
  return columns === undefined ? entries(value) : table(columns, value)
}

/** @param {[string, any][]} members */
function pairs(members) {
  const rows = members.map(
    ([name, member]) =>
      () =>
        pair(name, member),
  )
  return h('dl', { class: 'members' }, ...rows)
}

/** @param {string} name @param {any} member */
function pair(name, member) {
  const isEmpty = member === '' || member === null
  return h('div', {}, h('dt', {}, text(name)), h('dd', isEmpty ? { class: 'empty' } : {}, shown(member)))
}

/** @param {any[]} list */
function entries(list) {
  return h('ol', { class: 'entries' }, ...list.map(entry => () => h('li', {}, shown(entry))))
}

/** @param {string[]} columns @param {any[]} rows */
function table(columns, rows) {
  const head = columns.map(name => h('th', { scope: 'col' }, text(name)))
  /** @param {any} row */
  const rowOf = row =>
    h(
      'tr',
      {},
      ...columns.map(name => h('td', { 'data-label': name }, Object.hasOwn(row, name) ? shown(row[name]) : '')),
    )
  // There may be thousands of entries, so each row is created only when it is rendered.
  return h('table', {}, h('thead', {}, h('tr', {}, ...head)), h('tbody', {}, ...rows.map(row => () => rowOf(row))))
}

/** Names of the members, when all entries are objects of a few members without further levels. @param {any[]} list */
function columnsOf(list) {
  /** @type {Set<string>} */
  const names = new Set()
  for (const entry of list) {
    if (!isNested(entry) || Array.isArray(entry)) return undefined
    for (const [name, member] of Object.entries(entry)) {
      if (isNested(member) || names.add(name).size > MAX_COLUMNS) return undefined
    }
  }
  return [...names]
}

/** @param {any} value @returns {Child} */
function plainText(value) {
  if (value === '') return 'empty'
  if (value === null) return 'null'
  return typeof value === 'string' ? text(value) : String(value)
}

/** @param {unknown} value */
function isNested(value) {
  return typeof value === 'object' && value !== null
}
