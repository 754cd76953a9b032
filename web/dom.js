const HTML = 'http://www.w3.org/1999/xhtml'
const SVG = 'http://www.w3.org/2000/svg'

/**
 * Makes the elements that a tree (`tree.js`) describes. Text only ever becomes a text node. Here a child may also be an
 * element that exists already, and an attribute a listener (`{ click: … }`), or true or absent as `disabled` is.
 * @param {any} tree {@link import('./tree.js').Child} or a node
 * @returns {any} an element of the kind that the tree names, or a text
 */
export function toDom(tree, space = HTML) {
  if (typeof tree === 'string') return document.createTextNode(tree)
  if (typeof tree === 'function') return toDom(tree(), space)
  if (tree instanceof Node) return tree
  const within = tree.tag === 'svg' ? SVG : space
  const made = document.createElementNS(within, tree.tag)
  for (const [name, value] of Object.entries(tree.attributes)) {
    if (typeof value === 'function') made.addEventListener(name, value)
    else if (value !== undefined && value !== false) made.setAttribute(name, value === true ? '' : value)
  }
  made.append(...tree.children.map(child => toDom(child, within)))
  return made
}

/**
 * The user wants the link in another tab or window: then the browser follows it.
 * @param {MouseEvent} event
 */
export function opensElsewhere(event) {
  return event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey
}

/**
 * The element of this page that the selector names.
 * @param {string} selector
 * @returns {any} of the kind that the page has there
 */
export function element(selector) {
  return document.querySelector(selector)
}
