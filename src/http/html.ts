import type { Child } from '../../web/tree.js'

/** Text that is markup already, and so is put into a page as it stands. Only this file makes it. */
class Markup {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

export type { Markup }

/**
 * Tag of a template: its own words are markup, and every value put into them is text, escaped, unless it is
 * {@link Markup} itself. Attribute values stand in double quotes.
 */
export function html(parts: TemplateStringsArray, ...values: readonly (string | Markup)[]): Markup {
  return new Markup(parts.map((part, index) => part + markupOf(values[index] ?? '')).join(''))
}

/** A tree of `web/tree.js` as markup: what the page builds out of elements, in text. Tags and names are our own. */
export function htmlOf(tree: Child): Markup {
  return new Markup(render(tree))
}

/** Elements that have no end tag (HTML standard, "void elements"), as far as we use them. */
const VOID: ReadonlySet<string> = new Set(['br', 'hr', 'img', 'input'])

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Safe between tags and in quoted attribute values; not in scripts, styles or URLs, where we put no values. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, character => ENTITIES[character] ?? '')
}

function markupOf(value: string | Markup): string {
  return value instanceof Markup ? value.text : escapeHtml(value)
}

function render(tree: Child): string {
  if (typeof tree === 'string') return escapeHtml(tree)
  const attributes = Object.entries(tree.attributes).map(([name, value]) => ` ${name}="${escapeHtml(value)}"`)
  const start = `<${tree.tag}${attributes.join('')}>`
  return VOID.has(tree.tag) ? start : `${start}${tree.children.map(render).join('')}</${tree.tag}>`
}
