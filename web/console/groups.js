import { toDom } from '../dom.js'
import { formatNumber } from '../format.js'
import { h, text } from '../tree.js'
import { dlqLine } from './cli-line.js'
import { filterOfGroup, searchesValues } from './filter-text.js'
import { createInbox } from './inbox.js'
import { absolute, age, badge, button, notice, put, redraw, table } from './parts.js'
import { openRedrive } from './redrive-dialog.js'
import { ask } from './requests.js'
import { sparkline, sumOf } from './sparkline.js'
import { CAUSE_STATES, letters, named, REASONS, STATES } from './words.js'

/** Events come as records settle; groups are counted at most this often. */
const REFRESH_MS = 3_000

/** Dead letters grouped by cause, so that the fault shows before the single records. */
export function groupsView(app, place) {
  let groups = []
  /** `undefined`: not known. */
  let arrivals
  let starts = []
  let timer
  const total = () => groups.reduce((sum, { count }) => sum + count, 0)
  const searches = searchesValues(place.q)
  /** As the service understood it. */
  let filter = place.q
  const target = () => ({
    q: filter,
    count: total(),
    words: searches ? 'all that match' : `all ${formatNumber(total())}`,
  })
  const inbox = createInbox(app, place, { target })

  let searching = new AbortController()

  /** Counts by cause what a search in values finds, until the end, or until it is stopped. */
  async function search(signal) {
    searching = new AbortController()
    const stop = () => searching.abort()
    let sum = { read: 0, gone: 0, found: 0 }
    groups = []
    inbox.searched(sum, { stop })
    try {
      const [{ searchValues }, { addToGroups }] = await Promise.all([
        import('./search.js'),
        import('./found-groups.js'),
      ])
      const both = AbortSignal.any([signal, searching.signal])
      await searchValues({ q: place.q, signal: both }, ({ rows, read, gone }) => {
        groups = addToGroups(groups, rows).sort((a, b) => b.count - a.count)
        sum = { read: sum.read + read, gone: sum.gone + gone, found: total() }
        inbox.searched(sum, { stop })
        draw()
        app.showsSome()
        return true
      })
    } catch (failure) {
      if (signal.aborted || !searching.signal.aborted) throw failure
    }
    if (signal.aborted) return
    inbox.searched(sum, searching.signal.aborted ? { goOn: app.reload } : {})
    draw()
  }

  async function load(signal) {
    if (searches) return await inbox.loads(() => search(signal))
    await inbox.loads(async () => {
      const [answer, past] = await Promise.all([
        ask('/admin/dead-letters/groups', { query: { q: place.q }, signal }),
        ask('/admin/dead-letters/arrivals', { query: { q: place.q }, signal }).catch(() => undefined),
      ])
      groups = answer.groups.toSorted((a, b) => b.count - a.count)
      filter = answer.filter
      inbox.understood(filter)
      starts = past?.starts ?? []
      arrivals = past && new Map(past.groups.map(group => [keyOf(group), group.counts]))
      draw()
    })
  }

  function draw() {
    const oldest = groups.map(({ first_seen }) => first_seen).sort()[0]
    inbox.matched(total(), oldest)
    if (groups.length === 0) return put(inbox.body, nothing(app, place))
    const columns = [
      ['Dead letters'],
      ['Cause'],
      ['Arrivals, 24 h'],
      ['Last seen'],
      ['First seen'],
      [h('span', { class: 'visually-hidden' }, 'Actions')],
    ]
    redraw(inbox.body, () => put(inbox.body, table(columns, groups.map(row), { class: 'groups cards-on-phone' })))
  }

  function row(group) {
    const { reason, error, pointer, count, states, sample, cause } = group
    const filter = filterOfGroup(place.q, group)
    const share = Math.max(2, Math.round((count / total()) * 100))
    const counts = arrivals?.get(keyOf(group))
    return h(
      'tr',
      { 'data-row': keyOf(group) },
      h(
        'td',
        { class: 'count' },
        h('span', { class: 'big' }, formatNumber(count)),
        h(
          'svg',
          { class: 'share', viewBox: '0 0 100 4', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
          h('rect', { width: String(share), height: '4', rx: '1' }),
        ),
      ),
      h(
        'td',
        { class: 'cause' },
        app.link({ view: 'list', q: filter }, { 'data-main': 'true', class: 'strong' }, reason),
        h('span', { class: 'soft' }, ' · '),
        h('code', {}, text(error)),
        ...(pointer === '' ? [] : [h('span', { class: 'soft' }, ' at '), h('code', {}, text(pointer))]),
        h('span', { class: 'sub' }, text(sample.message === '' ? named(REASONS, reason) : sample.message)),
        h(
          'span',
          { class: 'sub' },
          'for example ',
          app.link({ view: 'letter', id: sample.id, q: filter }, {}, text(sample.key ?? sample.id)),
        ),
        statesOf(states, count),
        // A search in values counts letters; it asks nothing about their causes.
        cause && causeChip(cause),
      ),
      h(
        'td',
        { 'data-label': 'Arrivals, 24 h' },
        ...(counts === undefined || sumOf(counts) === 0
          ? [h('span', { class: 'soft' }, arrivals === undefined ? 'not known' : 'none')]
          : [sparkline(counts, `${formatNumber(sumOf(counts))} in the last 24 hours`, starts)]),
      ),
      h('td', { 'data-label': 'Last seen' }, age(group.last_seen)),
      h('td', { 'data-label': 'First seen' }, age(group.first_seen)),
      h(
        'td',
        { class: 'row-actions' },
        button('Redrive …', () => openRedrive(app, { q: filter, count, words: letters(count) })),
        cause && button('Cause …', () => sayOfCause(app, group)),
      ),
    )
  }

  return {
    node: inbox.node,
    title: 'Dead letters',
    load,
    cli: () => (inbox.isWrong() ? undefined : dlqLine('stats', place.q)),
    keys: {
      r(row) {
        if (row === undefined) return openRedrive(app, target())
        row.querySelector('.row-actions button').click()
      },
    },
    onEvent(name) {
      if (name !== 'dead_letters' || timer !== undefined) return
      // A search is not begun anew by itself.
      if (searches) return inbox.changed(app.reload)
      timer = setTimeout(() => {
        timer = undefined
        if (document.querySelector('dialog[open]') === null) app.reload()
      }, REFRESH_MS)
    },
    dispose() {
      clearTimeout(timer)
      searching.abort()
      inbox.dispose()
    },
  }
}

const keyOf = ({ reason, error, pointer }) => [reason, error, pointer].join('\n')

/** Names the states of the group's members when there are several, or when it is not the default one. */
function statesOf(states, count) {
  const entries = Object.entries(states).filter(([, n]) => n > 0)
  if (entries.length === 0 || (entries.length === 1 && entries[0][0] === 'open')) return undefined
  return h(
    'span',
    { class: 'sub states' },
    ...entries.map(([state, n]) =>
      badge(state, n === count ? named(STATES, state) : `${formatNumber(n)} ${named(STATES, state)}`),
    ),
  )
}

/** State, owner and note of a cause, as its row shows them. */
function causeChip(cause) {
  const { state, version, owner, note } = cause
  const when = {
    new: () => [' for ', age(cause.since)],
    regressed: () => [' ', age(cause.since), ' ago'],
    due: () => [' for ', age(cause.since)],
  }[state]
  const deployed = when === undefined || version === null ? [] : [', with ', text(version)]
  return h(
    'div',
    { class: 'cause-line' },
    badge(state, named(CAUSE_STATES, state)),
    h('span', { class: 'soft' }, ...(when?.() ?? []), ...deployed, ...endOf(cause)),
    ...(owner === null ? [] : [h('span', {}, h('span', { class: 'soft' }, 'owner '), text(owner))]),
    ...(note === null ? [] : [h('span', { class: 'note' }, text(note))]),
  )
}

function endOf({ snoozed_until: until, snoozed_above: above }) {
  if (until !== null) return [`until ${absolute(until)}`]
  return above === null ? [] : [`until ${above} wait`]
}

/** The dialog is loaded when it is opened for the first time. */
async function sayOfCause(app, group) {
  const { openCause } = await import('./cause-dialog.js')
  openCause(app, group)
}

export function nothing(app, { view, q }) {
  if (q === 'state:open') {
    return toDom(
      notice(
        'Nothing here: no dead letter is open',
        'All records were written, or their dead letters are settled.',
        app.link({ view, q: '' }, {}, 'Show those that are dealt with'),
      ),
    )
  }
  if (q === '')
    return toDom(
      notice(
        'There has never been a dead letter',
        'Records that cannot be written come here, with their bytes and the reason.',
      ),
    )
  return toDom(notice('Nothing matches this filter', undefined, app.link({ view, q: '' }, {}, 'Show all dead letters')))
}
