import { toDom } from '../dom.js'
import { formatNumber } from '../format.js'
import { h, text } from '../tree.js'
import { USUAL_SORT } from './address.js'
import { dlqLine } from './cli-line.js'
import { downloads } from './download.js'
import { filterOfGroup, searchesValues, term } from './filter-text.js'
import { nothing } from './groups.js'
import { createInbox } from './inbox.js'
import { keepList, shownList } from './list-memory.js'
import { age, badge, button, put, redraw, table } from './parts.js'
import { openRedrive } from './redrive-dialog.js'
import { ask } from './requests.js'
import { letters } from './words.js'

const PAGE = 50
/** A search in values pauses when it has found so many: the rows stay in the page. */
const FOUND_AT_ONCE = 500
/** A filter of the API has at most 32 KiB, and names of topics may be long. */
const MOST_CHARACTERS = 30_000

/** The columns that an index can sort, with their first direction. The other columns can only be filtered. */
const FIRST = { failed_at: '-failed_at', source: 'source' }
const HEADS = {
  '-failed_at': 'Sort: latest failure first',
  failed_at: 'Sort: oldest failure first',
  source: 'Sort by topic, partition and offset',
  '-source': 'Sort by topic, partition and offset, downwards',
}

export function listView(app, place) {
  const { q, sort } = place
  const shown = shownList()
  const known = shown?.q === q && shown.sort === sort
  // The user who reverses the order has the focus on a column header, so it returns there.
  let turned = shown?.q === q && shown.sort !== sort
  const held = known
    ? shown
    : keepList({
        q,
        sort,
        rows: [],
        next: undefined,
        count: 0,
        oldest: undefined,
        filter: q,
        searched: { read: 0, gone: 0, found: 0 },
        selected: new Set(),
        checks: new Map(),
        at: undefined,
      })
  /** The row where a selection with the shift key begins. */
  let anchor

  const searches = searchesValues(q)
  /** All that match. What a search has found is named by its ids, so that exactly this is taken. */
  const all = () => {
    const ids = searches && held.next === undefined && held.rows.length > 0 ? filterOfRows(held.rows) : ''
    if (ids !== '' && ids.length < MOST_CHARACTERS) {
      return { q: ids, count: held.count, words: `all ${formatNumber(held.count)}` }
    }
    return {
      q: searches ? q : held.filter,
      sort,
      count: held.count,
      words: searches ? 'all that match' : `all ${formatNumber(held.count)}`,
    }
  }
  /** The selected rows, or all matches when none is selected. */
  const target = () => {
    const chosen = held.rows.filter(({ id }) => held.selected.has(id))
    if (chosen.length === 0) return all()
    return { q: filterOfRows(chosen), count: chosen.length, words: formatNumber(chosen.length) }
  }
  const inbox = createInbox(app, place, {
    target: all,
    onChecked(results) {
      for (const result of results) held.checks.set(result.id, result)
      draw()
    },
  })
  const bar = toDom(h('div', { class: 'selection', role: 'region', 'aria-label': 'Selection', hidden: true }))
  const more = toDom(h('p', { class: 'more' }))
  inbox.node.append(more, bar)

  async function load(signal) {
    if (searches) {
      Object.assign(held, { rows: [], next: undefined, searched: { read: 0, gone: 0, found: 0 } })
      return await inbox.loads(() => search(signal))
    }
    await inbox.loads(async () => {
      const [page, { groups }] = await Promise.all([
        ask('/admin/dead-letters', { query: { q, sort, limit: PAGE }, signal }),
        ask('/admin/dead-letters/groups', { query: { q }, signal }),
      ])
      held.rows = page.dead_letters
      held.next = page.next ?? undefined
      held.filter = page.filter
      inbox.understood(page.filter)
      held.count = groups.reduce((sum, { count }) => sum + count, 0)
      held.oldest = groups.map(({ first_seen }) => first_seen).sort()[0]
      const there = new Set(held.rows.map(({ id }) => id))
      held.selected = new Set([...held.selected].filter(id => there.has(id)))
      inbox.unchanged()
      draw()
    })
  }

  let searching = new AbortController()

  /** Goes on with the search where it stopped, until enough is found, it is stopped, or the view is left. */
  async function search(signal) {
    searching = new AbortController()
    const stop = () => searching.abort()
    const isLeft = () => signal?.aborted === true
    const most = held.rows.length + FOUND_AT_ONCE
    inbox.searched(held.searched, { stop })
    try {
      const both = signal === undefined ? searching.signal : AbortSignal.any([signal, searching.signal])
      const { searchValues } = await import('./search.js')
      await searchValues({ q, sort, cursor: held.next, signal: both }, ({ rows, read, gone, next }) => {
        held.rows = [...held.rows, ...rows]
        held.next = next
        held.count = held.rows.length
        held.oldest = held.rows.map(({ first_failed_at }) => first_failed_at).sort()[0]
        const sum = held.searched
        held.searched = { read: sum.read + read, gone: sum.gone + gone, found: held.count }
        inbox.searched(held.searched, { stop })
        draw()
        app.showsSome()
        return held.rows.length < most
      })
    } catch (failure) {
      // What was found until it was stopped stays.
      if (isLeft() || !searching.signal.aborted) throw failure
    }
    if (isLeft()) return
    const stopped = searching.signal.aborted && held.next === undefined
    const goOn = () => void inbox.loads(() => search(undefined))
    inbox.searched(held.searched, held.next === undefined && !stopped ? {} : { goOn })
    draw()
  }

  async function loadMore(event) {
    const { currentTarget } = event
    currentTarget.disabled = true
    try {
      const page = await ask('/admin/dead-letters', { query: { q, limit: PAGE, cursor: held.next } })
      const from = held.rows.length
      held.rows = [...held.rows, ...page.dead_letters]
      held.next = page.next ?? undefined
      draw()
      inbox.body.querySelectorAll('[data-main]')[from]?.focus()
      app.say(`${letters(page.dead_letters.length)} more`)
    } catch (failure) {
      currentTarget.disabled = false
      app.tell(`${failure.title}. ${failure.message}`)
    }
  }

  function draw() {
    inbox.matched(held.count, held.oldest)
    if (held.rows.length === 0) put(inbox.body, nothing(app, place))
    // Computed when it is drawn, because the rows may have changed by then.
    else {
      const attributes = { class: 'letters cards-on-phone' }
      redraw(inbox.body, () => put(inbox.body, table(columns(), held.rows.map(row), attributes)))
    }
    if (turned && document.activeElement?.id === 'view') inbox.body.querySelector('th[aria-sort] a')?.focus()
    turned = false
    put(
      more,
      ...(held.next === undefined || searches
        ? []
        : [
            button(`Show ${PAGE} more`, loadMore),
            h('span', { class: 'soft' }, `${formatNumber(held.rows.length)} of ${formatNumber(held.count)} shown`),
          ]),
    )
    if (held.rows.length > 0) more.append(downloads(app, { q, sort }))
    drawSelection()
  }

  function columns() {
    const all = toDom(
      h('input', {
        type: 'checkbox',
        'aria-label': 'Select all rows shown',
        change: event =>
          choose(
            held.rows.map(({ id }) => id),
            event.target.checked,
          ),
      }),
    )
    all.checked = held.selected.size > 0 && held.selected.size === held.rows.length
    const passes = held.checks.size === 0 ? [] : [['Passes now']]
    return [
      [all, 'pick'],
      sortable('Failed', 'failed_at'),
      ['Key'],
      ['Why'],
      sortable('Record', 'source'),
      ['Tries', 'number'],
      ['State'],
      ...passes,
    ]
  }

  /** The header sorts by this column, and reverses the direction when the list is already sorted by it. */
  function sortable(words, by) {
    const now = sort === by ? 'ascending' : sort === `-${by}` ? 'descending' : undefined
    const to = now === undefined ? FIRST[by] : now === 'ascending' ? `-${by}` : by
    const sign = { ascending: ' ↑', descending: ' ↓' }[now]
    const link = app.link(
      { ...place, sort: to },
      { title: HEADS[to], class: 'sort' },
      words,
      ...(sign === undefined ? [] : [h('span', { 'aria-hidden': 'true' }, sign)]),
    )
    return [link, 'sortable', { 'aria-sort': now }]
  }

  function row(letter) {
    const { id, key, reason, error, pointer, message } = letter
    const { source_topic: topic, source_partition: partition, source_offset: offset } = letter
    const box = toDom(h('input', { type: 'checkbox', 'aria-label': `Select ${id}`, click: event => pick(id, event) }))
    box.checked = held.selected.has(id)
    return h(
      'tr',
      { 'data-row': id, class: box.checked ? 'selected' : undefined },
      h('td', { class: 'pick' }, box),
      h('td', { 'data-label': 'Failed', class: 'nowrap' }, age(letter.failed_at)),
      h(
        'td',
        { 'data-label': 'Key', class: 'main' },
        app.link({ ...place, view: 'letter', id }, { 'data-main': 'true', class: 'uid-link' }, text(key ?? id)),
        ...(key === null ? [h('span', { class: 'sub' }, 'no key that can be read')] : []),
      ),
      h(
        'td',
        { 'data-label': 'Why', class: 'why' },
        app.link({ ...place, q: filterOfGroup(q, letter) }, { class: 'quiet-link', title: 'Only this cause' }, reason),
        h('span', { class: 'soft' }, ' · '),
        h('code', {}, text(error)),
        ...(pointer === '' ? [] : [h('span', { class: 'soft' }, ' at '), h('code', {}, text(pointer))]),
        ...(message === '' ? [] : [h('span', { class: 'sub' }, text(message))]),
      ),
      h(
        'td',
        { 'data-label': 'Record' },
        h('code', {}, text(topic)),
        h('span', { class: 'sub position' }, `${partition} @ ${offset}`),
      ),
      h('td', { 'data-label': 'Tries', class: 'number' }, formatNumber(letter.attempts)),
      h('td', { 'data-label': 'State' }, badge(letter.state), redrives(letter)),
      ...(held.checks.size === 0 ? [] : [h('td', { 'data-label': 'Passes now' }, verdict(held.checks.get(id)))]),
    )
  }

  function pick(id, event) {
    const ids = held.rows.map(row => row.id)
    const from = event.shiftKey && anchor !== undefined ? ids.indexOf(anchor) : ids.indexOf(id)
    const [low, high] = [from, ids.indexOf(id)].sort((a, b) => a - b)
    choose(ids.slice(low, high + 1), event.target.checked)
    anchor = id
  }

  function choose(ids, on) {
    for (const id of ids) held.selected[on ? 'add' : 'delete'](id)
    for (const tr of inbox.body.querySelectorAll('tr[data-row]')) {
      const chosen = held.selected.has(tr.dataset.row)
      tr.classList.toggle('selected', chosen)
      tr.querySelector('input').checked = chosen
    }
    const all = inbox.body.querySelector('th input')
    if (all !== null) all.checked = held.selected.size > 0 && held.selected.size === held.rows.length
    drawSelection()
    app.showCli()
  }

  function drawSelection() {
    const { size } = held.selected
    bar.hidden = size === 0
    if (size === 0) return put(bar)
    put(
      bar,
      h('strong', {}, `${formatNumber(size)} selected`),
      button('Unselect', () => choose([...held.selected], false)),
      h('div', { class: 'actions' }, ...inbox.buttonsFor(target())),
    )
  }

  function focusRow(id) {
    inbox.body.querySelector(`[data-row="${CSS.escape(id)}"] [data-main]`)?.focus()
  }

  let fromMemory = known && held.rows.length > 0
  return {
    node: inbox.node,
    title: 'Dead letters',
    async load(signal) {
      if (!fromMemory) return await load(signal)
      fromMemory = false
      draw()
      inbox.understood(held.filter)
      if (searches)
        inbox.searched(
          held.searched,
          held.next === undefined ? {} : { goOn: () => void inbox.loads(() => search(undefined)) },
        )
      if (held.at !== undefined) focusRow(held.at)
      held.at = undefined
    },
    cli() {
      if (inbox.isWrong()) return undefined
      if (held.selected.size > 0) return dlqLine('ls', target().q)
      return dlqLine('ls', q, '--limit', PAGE, ...(sort === USUAL_SORT ? [] : ['--sort', sort]))
    },
    keys: { r: () => openRedrive(app, target()) },
    dispose() {
      searching.abort()
      inbox.dispose()
    },
    onEvent(name) {
      if (name === 'dead_letters') inbox.changed(app.reload)
    },
  }
}

/** Parked dead letters are redriven only when the filter names that state. */
export function filterOfRows(rows) {
  const states = [...new Set(rows.map(({ state }) => state))].filter(
    state => state === 'parked' || state === 'replaying',
  )
  const ids = term('id', ...rows.map(({ id }) => id))
  return states.length === 0 ? ids : `${ids} ${term('state', 'open', ...states)}`
}

function redrives({ replay_count: count, state }) {
  if (count === 0) return undefined
  const again = state === 'open' || state === 'parked' ? 'failed again' : 'redriven'
  return h('span', { class: 'sub' }, count === 1 ? again : `${again} ${formatNumber(count)} times`)
}

function verdict(result) {
  if (result === undefined) return h('span', { class: 'soft' }, 'not checked')
  if (result.passes === undefined || result.passes === null)
    return h('span', { class: 'verdict', 'data-passes': 'gone' }, 'record gone')
  const why = result.violations?.[0]
  return h(
    'span',
    { class: 'verdict', 'data-passes': String(result.passes) },
    result.passes ? 'yes' : 'no',
    ...(why === undefined
      ? []
      : [
          h(
            'span',
            { class: 'sub' },
            h('code', {}, text(why.keyword)),
            ...(why.pointer === '' ? [] : [' at ', h('code', {}, text(why.pointer))]),
          ),
        ]),
  )
}
