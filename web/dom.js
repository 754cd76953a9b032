/**
 * Makes the elements that a tree (`tree.js`) describes. Text only ever becomes a text node.
 * @param {import('./tree.js').Child} tree
 * @returns {Node}
 */
export function toDom(tree) {
  if (typeof tree === 'string') return document.createTextNode(tree)
  const made = document.createElement(tree.tag)
  for (const [name, value] of Object.entries(tree.attributes)) made.setAttribute(name, value)
  made.append(...tree.children.map(toDom))
  return made
}

/** What the user asked for goes to another tab or window: the link is then the browser's to follow. */
export function opensElsewhere(event) {
  return event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey
}
