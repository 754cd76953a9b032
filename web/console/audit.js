import { toDom } from '../dom.js'
import { formatNumber } from '../format.js'
import { h, text } from '../tree.js'
import { undoButton } from './discard.js'
import { absolute, age, button, notice, put, table } from './parts.js'
import { ask } from './requests.js'
import { actionWords, reasonGiven } from './words.js'

const PAGE = 50

/** The audit log: actor, action, dead letters and reason of each entry, the latest first. */
export function auditView(app) {
  const list = toDom(h('div', {}))
  const more = toDom(h('p', { class: 'more' }))
  const node = toDom(
    h('section', { 'aria-labelledby': 'audit-title' }, h('h2', { id: 'audit-title' }, 'Audit log'), list, more),
  )
  let entries = []
  let next

  async function load(signal) {
    const page = await ask('/admin/audit', { query: { limit: PAGE }, signal })
    entries = page.audit
    next = page.next ?? undefined
    draw()
  }

  async function loadMore(event) {
    event.currentTarget.disabled = true
    try {
      const page = await ask('/admin/audit', { query: { limit: PAGE, before: next } })
      entries = [...entries, ...page.audit]
      next = page.next ?? undefined
    } catch (failure) {
      app.tell(`${failure.title}. ${failure.message}`)
    }
    draw()
  }

  function draw() {
    if (entries.length === 0)
      return put(
        list,
        notice(
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
          : app.link({ view: 'list', q: filter }, { 'data-main': 'true' }, h('code', {}, text(filter))),
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

  return { node, title: 'Audit log', load, cli: () => undefined }
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
