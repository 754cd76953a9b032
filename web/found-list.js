import { h, text } from './tree.js'

/** A list of values, for the page and the server (`/view/list`) alike. */

const DAY_MS = 86_400_000

/** Names in the address that are about one value, or about the page, and not about a list. */
const OTHERS = new Set(['stream', 'key'])

/**
 * What the API's list is asked for. A day stands for its first moment in UTC; as the end of a span, which includes it, for the first
 * of the day after.
 * @param {Iterable<[string, string]>} address parameters of the page's address
 * @returns {[string, string][]} without those that are empty
 */
export function listQuery(address) {
  return [...address]
    .filter(([name, value]) => value !== '' && !OTHERS.has(name))
    .map(([name, value]) => [name, instantOf(name, value)])
}

/** @param {string} name @param {string} value */
function instantOf(name, value) {
  if ((name !== 'from' && name !== 'to') || !/^\d{4}-\d\d-\d\d$/.test(value)) return value
  const ms = Date.parse(`${value}T00:00:00Z`) + (name === 'to' ? DAY_MS : 0)
  return Number.isNaN(ms) ? value : new Date(ms).toISOString()
}

/**
 * @param {readonly { key: string, href: string, cells: any[] }[]} rows
 * @param {{ one: string, more?: string | undefined }} facts `more`: the address of the next page
 * @returns {import('./tree.js').Branch}
 */
export function foundList(rows, { one, more }) {
  if (rows.length === 0) return h('div', { class: 'notice' }, h('p', {}, `No ${one} is stored with these.`))
  const items = rows.map(({ key, href, cells }) =>
    h('li', {}, h('a', { href, 'data-key': key, class: 'sample' }, text(key)), ...cells),
  )
  return h(
    'div',
    { class: 'found' },
    h('h2', {}, 'Newest first'),
    h('ol', { class: 'latest' }, ...items),
    ...(more === undefined ? [] : [h('p', { class: 'hint' }, h('a', { href: more, class: 'more' }, 'Older ones'))]),
  )
}
