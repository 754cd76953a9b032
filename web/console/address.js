import { USUAL } from './filter-text.js'

/** The address holds the state of the view, so that it can be bookmarked, shared, reloaded and reached with Back. */

/** @type {View[]} */
const VIEWS = ['groups', 'list', 'replays', 'timeline', 'audit']
/** Views that are not about dead letters: no filter stands in their address. */
const WITHOUT_FILTER = ['replays', 'replay', 'timeline', 'audit']
/** The orders in which dead letters can be sorted, as the API names them; `-` is downwards. */
export const SORTS = ['-failed_at', 'failed_at', 'source', '-source']
export const [USUAL_SORT] = SORTS

/** How far back one can look, as the API names it, and in words. */
export const SPANS = /** @type {const} */ ([
  ['15m', '15 min'],
  ['1h', '1 h'],
  ['24h', '24 h'],
  ['7d', '7 d'],
])
export const USUAL_SPAN = '1h'

/** The fields of the audit log's filter, as the API names them. */
const AUDIT_FIELDS = /** @type {(keyof AuditFilter)[]} */ (['who', 'what', 'since', 'until'])

/**
 * @typedef {'groups' | 'list' | 'letter' | 'replays' | 'replay' | 'timeline' | 'audit'} View
 * @typedef {{ who?: string, what?: string, since?: string, until?: string }} AuditFilter which entries of the audit log
 * @typedef {{ view: View, q?: string, sort?: string, id?: string | undefined, stream?: string | undefined, audit?: AuditFilter, span?: string }} Place
 */

/**
 * @param {string} search of a location
 * @returns {{ view: View, q: string, sort: string, id: string | undefined, audit?: AuditFilter, span?: string }}
 */
export function placeOfAddress(search) {
  const asked = new URLSearchParams(search)
  const q = asked.get('q') ?? USUAL
  const sort = SORTS.find(known => known === asked.get('sort')) ?? USUAL_SORT
  for (const view of /** @type {View[]} */ (['letter', 'replay'])) {
    const id = asked.get(view)
    if (id) return { view, q, sort, id }
  }
  const view = /** @type {View} */ (asked.get('view'))
  const place = { view: VIEWS.includes(view) ? view : /** @type {View} */ ('groups'), q, sort, id: undefined }
  if (place.view === 'timeline') {
    const [span] = SPANS.find(([known]) => known === asked.get('span')) ?? [USUAL_SPAN]
    return { ...place, span }
  }
  if (place.view !== 'audit') return place
  const given = AUDIT_FIELDS.flatMap(name => (asked.get(name) ? [[name, asked.get(name)]] : []))
  return { ...place, audit: Object.fromEntries(given) }
}

/**
 * Defaults are left out, so that the bare address is the default view. `stream` is set where the process has several.
 * @param {Place} place
 * @returns {string}
 */
export function addressOf({ view, q = USUAL, sort = USUAL_SORT, id, stream, audit = {}, span = USUAL_SPAN }) {
  const query = new URLSearchParams(stream === undefined ? {} : { stream })
  if (id !== undefined) query.set(view, id)
  else if (view !== 'groups') query.set('view', view)
  if (q !== USUAL && !WITHOUT_FILTER.includes(view)) query.set('q', q)
  if (sort !== USUAL_SORT && (view === 'list' || view === 'letter')) query.set('sort', sort)
  if (view === 'timeline' && span !== USUAL_SPAN) query.set('span', span)
  if (view === 'audit') for (const name of AUDIT_FIELDS) if (audit[name]) query.set(name, audit[name])
  const text = query.toString()
  return text === '' ? '/admin' : `/admin?${text}`
}
