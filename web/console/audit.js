import { toDom } from '../dom.js'
import { formatNumber } from '../format.js'
import { h, text } from '../tree.js'
import { shellQuoted } from './cli-line.js'
import { labelled } from './dialog.js'
import { undoButton } from './discard.js'
import { absolute, age, button, notice, put, table } from './parts.js'
import { ask } from './requests.js'
import { actionWords, reasonGiven } from './words.js'

const PAGE = 50
/** Actions that can be chosen before the log shows any; more may exist. */
const ACTIONS = ['redrive', 'discard', 'restore', 'reveal', 'pause', 'resume', 'seek', 'automatic_redrive', 'reindex']
/** Actions whose filter is one of dead letters; that of others names a partition. */
const OF_LETTERS = /^(replay|redrive|discard|restore|reveal)/
const FIELDS = {
  who: ['Who', 'a name, or several: ada, ben'],
  what: ['What', 'an action, as discard'],
  since: ['Since', '24h, 7d or 2026-11-29T08:00:00Z'],
  until: ['Until', 'the same'],
}

/**
 * The audit log: actor, action, dead letters and reason of each entry, the latest first. The address holds the filter.
 * @param {any} app
 * @param {{ audit?: import('./address.js').AuditFilter }} place
 */
export function auditView(app, { audit: filter = {} }) {
  const list = toDom(h('div', {}))
  const more = toDom(h('p', { class: 'more' }))
  const form = filterForm(app, filter)
  const node = toDom(
    h('section', { 'aria-labelledby': 'audit-title' }, h('h2', { id: 'audit-title' }, 'Audit log'), form, list, more),
  )
  const isFiltered = Object.keys(filter).length > 0
  let entries = []
  let next

  async function load(signal) {
    const page = await ask('/admin/audit', { query: { ...filter, limit: PAGE }, signal })
    entries = page.audit
    next = page.next ?? undefined
    draw()
  }

  async function loadMore(event) {
    event.currentTarget.disabled = true
    try {
      const page = await ask('/admin/audit', { query: { ...filter, limit: PAGE, before: next } })
      entries = [...entries, ...page.audit]
      next = page.next ?? undefined
    } catch (failure) {
      app.tell(`${failure.title}. ${failure.message}`)
    }
    draw()
  }

  function draw() {
    put(more)
    if (entries.length === 0)
      return put(
        list,
        isFiltered
          ? notice('Nothing matches', 'No entry of the audit log is like that: leave a field empty to see more.')
          : notice(
              'Nothing is noted yet',
              'Redrives, discards, reveals and whatever else operators do is written down here.',
            ),
      )
    put(
      list,
      table(
        [
          ['When'],
          ['Who'],
          ['What'],
          ['Filter'],
          ['Why'],
          ['Counts'],
          [h('span', { class: 'visually-hidden' }, 'Actions')],
        ],
        entries.map(row),
        { class: 'cards-on-phone audit' },
      ),
    )
    put(more, ...(next === undefined ? [] : [button(`Show ${PAGE} more`, loadMore)]))
  }

  function row({ id, at, who, what, filter, because, counts }) {
    const canUndo = /discard/.test(what) && !/restore|undo/.test(what)
    return h(
      'tr',
      { 'data-row': id },
      h('td', { 'data-label': 'When', class: 'nowrap' }, age(at), h('span', { class: 'sub' }, absolute(at))),
      h('td', { 'data-label': 'Who' }, text(who)),
      h('td', { 'data-label': 'What', class: 'strong nowrap' }, text(actionWords(what))),
      h(
        'td',
        { 'data-label': 'Filter', class: 'what' },
        filter === '' || filter === null
          ? h('span', { class: 'soft' }, '–')
          : OF_LETTERS.test(what)
            ? app.link({ view: 'list', q: filter }, { 'data-main': 'true' }, h('code', {}, text(filter)))
            : h('code', {}, text(filter)),
      ),
      h(
        'td',
        { 'data-label': 'Why' },
        reasonGiven(because) === undefined ? h('span', { class: 'soft' }, '–') : text(because),
      ),
      h('td', { 'data-label': 'Counts' }, ...countWords(app, counts)),
      h('td', { class: 'row-actions' }, ...(canUndo ? [undoButton(app, id)] : [])),
    )
  }

  return { node, title: 'Audit log', load, cli: () => auditLine(filter) }
}

/** One field for each part of the filter; what is sent becomes the address. */
function filterForm(app, filter) {
  const names = Object.keys(FIELDS)
  const inputs = names.map(name => {
    const [label, hint] = FIELDS[name]
    const list = name === 'what' ? { list: 'audit-actions' } : {}
    const { input, node } = labelled(label, {
      ...{ type: 'text', name, autocomplete: 'off', spellcheck: 'false', placeholder: hint, value: filter[name] ?? '' },
      ...list,
    })
    return { name, input, node }
  })
  const submit = event => {
    event.preventDefault()
    const given = inputs.flatMap(({ name, input }) => (input.value.trim() === '' ? [] : [[name, input.value.trim()]]))
    app.go({ view: 'audit', audit: Object.fromEntries(given) })
  }
  const clear = Object.keys(filter).length === 0 ? [] : [app.link({ view: 'audit' }, {}, 'Show all')]
  return h(
    'form',
    { class: 'audit-filter', role: 'search', 'aria-label': 'Entries of the audit log', novalidate: true, submit },
    h('div', { class: 'fields' }, ...inputs.map(({ node }) => node)),
    h('datalist', { id: 'audit-actions' }, ...ACTIONS.map(value => h('option', { value }))),
    h('div', { class: 'actions' }, h('button', { type: 'submit' }, 'Filter'), ...clear),
  )
}

function auditLine(filter) {
  const flags = Object.entries(filter).flatMap(([name, value]) => [`--${name}`, shellQuoted(value)])
  return ['audit', ...flags].join(' ')
}

function countWords(app, counts) {
  return Object.entries(counts ?? {}).map(([name, value]) => {
    if (name === 'replay')
      return h('div', {}, 'redrive ', app.link({ view: 'replay', id: String(value) }, {}, String(value)))
    const shown =
      typeof value === 'number'
        ? formatNumber(value)
        : typeof value === 'object'
          ? JSON.stringify(value)
          : String(value)
    return h('div', {}, `${name.replaceAll('_', ' ')} `, text(shown))
  })
}
