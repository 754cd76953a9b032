import { h, text } from '../tree.js'
import { put } from './parts.js'
import { accepted, proposalsAt } from './proposals.js'
import { ask } from './requests.js'
import { plural } from './words.js'

/** Values change slowly: they are asked for again after this time. */
const FRESH_MS = 60_000
let known = { stream: undefined, atMs: Number.NEGATIVE_INFINITY, values: {} }

/** They hold no personal data. While they cannot be had, the filter proposes what it knows itself. */
async function knownValues(stream) {
  if (known.stream === stream && performance.now() - known.atMs < FRESH_MS) return known.values
  try {
    known = { stream, atMs: performance.now(), values: await ask('/admin/dead-letters/field-values') }
  } catch (failure) {
    if (failure.title === undefined) throw failure
  }
  return known.stream === stream ? known.values : {}
}

/**
 * Proposes fields and values below the filter: a combobox with a list (ARIA practices, "list autocomplete with manual selection").
 * Nothing is taken without an arrow key and Enter, or a click: Enter alone filters by what is typed.
 * @param {HTMLInputElement} box that has the focus
 * @param {HTMLElement} list
 * @param {any} app
 */
export function complete(box, list, app) {
  let values = {}
  /** Whether the user has typed, or asked for proposals, and not closed the list since. */
  let isWanted = box.value !== box.defaultValue
  /** @type {import('./proposals.js').Proposals} */
  let shown = { from: 0, to: 0, list: [] }
  let active = -1

  function propose(asked = false) {
    isWanted = true
    const caret = box.selectionStart ?? box.value.length
    const before = shown.list.length
    shown = proposalsAt(box.value, caret, values, asked)
    put(
      list,
      ...shown.list.map((proposal, index) =>
        h(
          'li',
          { id: `filter-proposal-${index}`, role: 'option', 'aria-selected': 'false', click: () => take(proposal) },
          h('code', {}, text(proposal.text)),
          ...(proposal.words === undefined ? [] : [' ', h('span', { class: 'soft' }, proposal.words)]),
        ),
      ),
    )
    select(-1)
    const isOpen = shown.list.length > 0
    list.hidden = !isOpen
    box.setAttribute('aria-expanded', String(isOpen))
    if (isOpen && shown.list.length !== before) app.say(plural(shown.list.length, 'proposal', 'proposals'))
  }

  function close() {
    isWanted = false
    shown = { ...shown, list: [] }
    put(list)
    list.hidden = true
    box.setAttribute('aria-expanded', 'false')
    select(-1)
  }

  function select(index) {
    list.children[active]?.setAttribute('aria-selected', 'false')
    active = index
    const option = list.children[index]
    if (option === undefined) return box.removeAttribute('aria-activedescendant')
    option.setAttribute('aria-selected', 'true')
    option.scrollIntoView({ block: 'nearest' })
    box.setAttribute('aria-activedescendant', option.id)
  }

  function take(proposal) {
    const { filter, caret } = accepted(box.value, shown, proposal)
    box.value = filter
    box.focus()
    box.setSelectionRange(caret, caret)
    // A field is followed by its values.
    if (proposal.text.endsWith(':')) propose(true)
    else close()
  }

  async function refresh() {
    values = await knownValues(app.stream)
    if (!isWanted || document.activeElement !== box) return
    const chosen = shown.list[active]?.text
    propose(!list.hidden)
    select(shown.list.findIndex(({ text }) => text === chosen))
  }

  const keys = {
    ArrowDown() {
      if (list.hidden) propose(true)
      select(active + 1 < shown.list.length ? active + 1 : 0)
    },
    ArrowUp() {
      if (list.hidden) propose(true)
      select(active > 0 ? active - 1 : shown.list.length - 1)
    },
    Enter: () => take(shown.list[active]),
    Escape: close,
  }
  box.addEventListener('keydown', event => {
    const { key } = event
    const isOpen = !list.hidden
    if (!(key in keys) || event.altKey || event.ctrlKey || event.metaKey || event.isComposing) return
    if (key === 'Enter' && (!isOpen || active === -1)) return close()
    if (key === 'Escape' && !isOpen) return
    event.preventDefault()
    // The page's own Escape leaves the field.
    event.stopPropagation()
    keys[key]()
  })
  box.addEventListener('input', () => propose())
  box.addEventListener('focus', () => void refresh())
  box.addEventListener('blur', close)
  // The focus stays in the field while an option is pressed.
  list.addEventListener('pointerdown', event => event.preventDefault())
  void refresh()
}
