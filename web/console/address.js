import { USUAL } from './filter-text.js'

/** The address holds the state of the view, so that it can be bookmarked, shared, reloaded and reached with Back. */

/** @type {View[]} */
const VIEWS = ['groups', 'list', 'replays', 'audit']
/** The orders in which dead letters can be sorted, as the API names them; `-` is downwards. */
export const SORTS = ['-failed_at', 'failed_at', 'source', '-source']
export const [USUAL_SORT] = SORTS

/**
 * @typedef {'groups' | 'list' | 'letter' | 'replays' | 'replay' | 'audit'} View
 * @typedef {{ view: View, q?: string, sort?: string, id?: string | undefined, stream?: string | undefined }} Place
 */

/**
 * @param {string} search of a location
 * @returns {{ view: View, q: string, sort: string, id: string | undefined }}
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
  return { view: VIEWS.includes(view) ? view : 'groups', q, sort, id: undefined }
}

/**
 * Defaults are left out, so that the bare address is the default view. `stream` is set where the process has several.
 * @param {Place} place
 * @returns {string}
 */
export function addressOf({ view, q = USUAL, sort = USUAL_SORT, id, stream }) {
  const query = new URLSearchParams(stream === undefined ? {} : { stream })
  if (id !== undefined) query.set(view, id)
  else if (view !== 'groups') query.set('view', view)
  if (q !== USUAL && view !== 'replays' && view !== 'replay' && view !== 'audit') query.set('q', q)
  if (sort !== USUAL_SORT && (view === 'list' || view === 'letter')) query.set('sort', sort)
  const text = query.toString()
  return text === '' ? '/admin' : `/admin?${text}`
}
