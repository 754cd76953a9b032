/**
 * Markup as plain values: a tag, its attributes, its children. The page turns it into elements (`dom.js`), the server
 * into text (`src/http/html.ts`), so that both show an order alike. Children that are text stay text in both: whatever an
 * order holds, it cannot become markup.
 * @typedef {{ readonly tag: string, readonly attributes: Readonly<Record<string, any>>, readonly children: readonly Child[] }} Branch
 * A child may also be a function, which creates it when it is rendered, so that a long tree need not be in memory as a whole.
 * @typedef {Branch | string | (() => Child)} Child
 */

/**
 * @param {string} tag
 * @param {Readonly<Record<string, any>>} [attributes] in a browser listeners as well (`dom.js`)
 * @param {...any} children {@link Child}, in a browser also elements; what is undefined is left out
 * @returns {Branch}
 */
export function h(tag, attributes = {}, ...children) {
  return { tag, attributes, children: children.filter(child => child !== undefined) }
}

/**
 * Text from outside, whose direction is unknown: it is isolated, so that Hebrew or Arabic in a name (or a
 * control character that turns the direction) rearranges nothing beside it.
 * @param {string} value
 */
export function text(value) {
  return h('bdi', {}, value)
}
