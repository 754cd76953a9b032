import { toDom } from '../dom.js'
import { h, text } from '../tree.js'
import { SORTS, USUAL_SORT } from './address.js'
import { labelled, openDialog } from './dialog.js'
import { button, put } from './parts.js'

/**
 * Views that have a name: a filter, its order, and whether causes or letters are shown. Each is an address, so it can be sent to others;
 * the names that an operator gives stay in this browser.
 */

const BUILT_IN = [
  { name: 'Open', q: 'state:open' },
  { name: 'Failed again', q: 'state:failed_again' },
  { name: 'Last hour', q: 'after:1h' },
]
const STORED = 'holdfast.views'
const MOST = 20
const MOST_CHARACTERS = 40

/** @returns {{ name: string, view: string, q: string, sort: string }[]} what is not understood is left out */
function savedViews() {
  try {
    const stored = JSON.parse(localStorage.getItem(STORED) ?? '[]')
    return Array.isArray(stored) ? stored.flatMap(readView).slice(0, MOST) : []
  } catch {
    return []
  }
}

function readView(given) {
  const { name, view, q, sort } = given ?? {}
  if (typeof name !== 'string' || name === '' || typeof q !== 'string') return []
  return [
    {
      name: name.slice(0, MOST_CHARACTERS),
      view: view === 'list' ? 'list' : 'groups',
      q,
      sort: SORTS.includes(sort) ? sort : USUAL_SORT,
    },
  ]
}

/** @returns {boolean} whether the browser keeps them */
function store(views) {
  try {
    localStorage.setItem(STORED, JSON.stringify(views))
    return true
  } catch {
    return false
  }
}

/** The row of views, with the current one marked, and a way to save it. */
export function viewsRow(app, place) {
  const row = toDom(h('ul', { class: 'chips views', 'aria-label': 'Views' }))
  draw()
  return row

  function draw() {
    const saved = savedViews()
    const isShown = ({ view, q, sort }) => view === place.view && q === place.q && sort === place.sort
    put(
      row,
      ...BUILT_IN.map(({ name, q }) => item(name, { ...place, q }, place.q === q && !saved.some(isShown))),
      ...saved.map(view => item(view.name, view, isShown(view), remover(view))),
      ...(saved.some(isShown)
        ? []
        : [
            h(
              'li',
              {},
              button('Save this view …', () => openSave(saved), { class: 'chip-button' }),
            ),
          ]),
    )
  }

  function item(name, to, isCurrent, ...more) {
    return h('li', {}, app.link(to, { 'aria-current': isCurrent ? 'true' : undefined }, text(name)), ...more)
  }

  function remover({ name }) {
    return button(
      '×',
      () => {
        store(savedViews().filter(view => view.name !== name))
        draw()
        row.querySelector('button')?.focus()
        app.say(`The view ${name} is removed.`)
      },
      { class: 'quiet remove', 'aria-label': `Remove the view ${name}` },
    )
  }

  function openSave(saved) {
    const name = labelled(
      'Name',
      { type: 'text', autocomplete: 'off', required: true, maxlength: String(MOST_CHARACTERS) },
      'It stays in this browser. Others get the view by its address.',
    )
    const dialog = openDialog({
      title: 'Save this view',
      body: [toDom(h('p', {}, h('code', {}, text(place.q === '' ? 'all dead letters' : place.q)))), toDom(name.node)],
      submit: 'Save',
      onSubmit() {
        const given = name.input.value.trim()
        if (given === '') return refuse('A view needs a name.')
        if (BUILT_IN.some(view => view.name === given)) return refuse('There is a view of this name already.')
        const others = saved.filter(view => view.name !== given)
        if (others.length >= MOST) return refuse(`There are ${MOST} views: remove one first.`)
        const { view, q, sort } = place
        if (!store([...others, { name: given, view, q, sort }]))
          return refuse('This browser keeps nothing for this page.')
        dialog.close()
        draw()
        row.querySelector('[aria-current]')?.focus()
        app.say(`The view ${given} is saved.`)
      },
    })
    name.input.focus()

    function refuse(words) {
      name.input.setAttribute('aria-invalid', 'true')
      name.input.focus()
      dialog.troubled(words)
    }
  }
}
