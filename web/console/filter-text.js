/** Filters are text in the field, in the address and on the command line alike. These functions compose them. */

/** The filter of a page whose address names none. */
export const USUAL = 'state:open'

const SAFE = /^[A-Za-z0-9_./~-]+$/

/** @param {string} value */
export function quoted(value) {
  return SAFE.test(value) && !value.startsWith('-') ? value : `"${value.replace(/["\\]/g, '\\$&')}"`
}

/** @param {string} field @param {...string} values alternatives */
export function term(field, ...values) {
  return `${field}:${values.map(quoted).join(',')}`
}

/** The terms of a filter as they stand, also those that are wrong. @param {string} filter */
export function termsOf(filter) {
  return filter.match(/(?:"(?:[^"\\]|\\.)*"?|[^\s"])+/g) ?? []
}

/** @param {string} filter @param {string} field its terms give way to `terms` @param {...string} terms */
export function withTerms(filter, field, ...terms) {
  const others = termsOf(filter).filter(term => !new RegExp(`^-?${field}:`).test(term))
  return [...others, ...terms].join(' ')
}

/** The filter that narrows `filter` to one group. */
export function filterOfGroup(filter, { reason, error, pointer }) {
  const others = termsOf(filter).filter(term => !/^(?:reason|error|pointer):/.test(term))
  return [...others, term('reason', reason), term('error', error), term('pointer', pointer)].join(' ')
}

/** Whether values have to be read from the topic for it. @param {string} filter */
export function searchesValues(filter) {
  return termsOf(filter).some(term => /^-?value:/.test(term))
}

/** Whether it has words without a field: what they are, only the service knows. @param {string} filter */
export function hasWords(filter) {
  return termsOf(filter).some(term => !/^-?[A-Za-z]+:/.test(term))
}

/** The state that a filter asks for, when it is a single one; `''` when it names none. */
export function stateOf(filter) {
  const states = termsOf(filter).filter(term => /^-?state:/.test(term))
  if (states.length === 0) return ''
  return states.length === 1 ? /^state:([a-z_]+)$/.exec(states[0])?.[1] : undefined
}
