/**
 * Makes an element. Children are elements or text, and text only ever becomes a text node: whatever an order holds, it
 * cannot become markup.
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {...(Node | string | undefined)} children
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  made.append(...children.filter(child => child !== undefined))
  return made
}

/** @param {number} value */
export function formatNumber(value) {
  return new Intl.NumberFormat('en').format(value)
}

/** Integers as the order has them, with their currency: what a unit is worth is the producer's matter. */
export function formatMoney(value, currency) {
  return `${formatNumber(value)} ${currency}`
}

/**
 * A moment in UTC, the same for everybody who looks at the page; what no calendar knows is shown as it came.
 * @param {string | number} value RFC 3339, or ms since the epoch
 * @param {string} asSent what to show when it is no date
 */
export function formatMoment(value, asSent) {
  const date = new Date(value)
  if (Number.isNaN(date.getTime())) return asSent
  const text = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium', timeZone: 'UTC' }).format(
    date,
  )
  return element('time', { datetime: date.toISOString() }, `${text} UTC`)
}
