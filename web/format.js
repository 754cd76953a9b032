import { h } from './tree.js'

const NUMBER = new Intl.NumberFormat('en')
const MOMENT = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium', timeZone: 'UTC' })

/** @param {number} value */
export function formatNumber(value) {
  return NUMBER.format(value)
}

/** Integers as the order has them, with their currency: the producer defines what a unit is worth. */
export function formatMoney(value, currency) {
  return `${formatNumber(value)} ${currency}`
}

/**
 * A moment in UTC, the same for every viewer of the page; a value that is no date is shown unchanged.
 * @param {string | number} value RFC 3339, or ms since the epoch
 * @param {string} asSent what to show when it is no date
 * @returns {import('./tree.js').Child}
 */
export function formatMoment(value, asSent) {
  const date = new Date(value)
  if (Number.isNaN(date.getTime())) return asSent
  return h('time', { datetime: date.toISOString() }, `${MOMENT.format(date)} UTC`)
}
