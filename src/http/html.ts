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

/** Several pieces of markup, one after another. */
export function markup(pieces: readonly Markup[]): Markup {
  return new Markup(pieces.map(({ text }) => text).join(''))
}

/** Markup that was made of our own files; never of what comes from outside. */
export function ownMarkup(text: string): Markup {
  return new Markup(text)
}

/** A tree of `web/tree.js` as markup: what the page builds out of elements, in text. Tags and names are our own. */
export function htmlOf(tree: Child): Markup {
  return new Markup([...htmlPieces(tree)].join(''))
}

/** Characters of a piece. A few milliseconds of work, after which the event loop may turn. */
const PIECE = 16 * 1024

/** The same in pieces of about that many characters (a text is cut before it is escaped). What is not asked for is not made. */
export function* htmlPieces(tree: Child): Iterable<string> {
  let piece = ''
  for (const part of partsOf(tree)) {
    piece += part
    if (piece.length < PIECE) continue
    yield piece
    piece = ''
  }
  if (piece !== '') yield piece
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

function* partsOf(tree: Child): Iterable<string> {
  if (typeof tree === 'function') return yield* partsOf(tree())
  if (typeof tree === 'string') {
    for (let start = 0; start < tree.length; start += PIECE) yield escapeHtml(tree.slice(start, start + PIECE))
    return
  }
  const attributes = Object.entries(tree.attributes).map(([name, value]) => ` ${name}="${escapeHtml(value)}"`)
  yield `<${tree.tag}${attributes.join('')}>`
  if (VOID.has(tree.tag)) return
  for (const child of tree.children) yield* partsOf(child)
  yield `</${tree.tag}>`
}
