import { toDom } from '../dom.js'
import { formatNumber } from '../format.js'
import { h, text } from '../tree.js'
import { dlqLine, shellQuoted } from './cli-line.js'
import { filterOfGroup } from './filter-text.js'
import { forgetList } from './list-memory.js'
import { absolute, age, button, card, facts, notice, put, redraw, redriveBadge, table } from './parts.js'
import { countsOf, progressBar } from './redrive-progress.js'
import { STEP_HINTS, STEP_NAMES, steer, stepsOf } from './redrive-steps.js'
import { ask } from './requests.js'
import { createSwitch } from './switch.js'
import { doneWords, duration, isActive, isFinal, letters, named, RESULTS, reasonGiven, redriveWords } from './words.js'

const SHOWN = 50

/** Redrives, the latest first, and the switch of automatic redrives. */
export function redrivesView(app) {
  const list = toDom(h('div', {}))
  const automatic = createSwitch(app)
  const node = toDom(
    h(
      'section',
      { 'aria-labelledby': 'redrives-title' },
      h('h2', { id: 'redrives-title' }, 'Redrives'),
      automatic.node,
      list,
    ),
  )
  let redrives = []

  function draw() {
    if (redrives.length === 0)
      return put(
        list,
        notice(
          'Nothing has been redriven yet',
          'Find dead letters that would pass now, and redrive them: each redrive is listed here with what became of it.',
        ),
      )
    const columns = [
      ['Redrive'],
      ['State'],
      ['What'],
      ['By'],
      ['Started'],
      ['Redriven', 'number'],
      ['Resolved', 'number'],
      ['Failed again', 'number'],
    ]
    redraw(list, () => put(list, table(columns, redrives.map(row), { class: 'cards-on-phone redrives' })))
  }

  function row(redrive) {
    return h(
      'tr',
      { 'data-row': redrive.id },
      h(
        'td',
        { class: 'main nowrap' },
        app.link(
          { view: 'replay', id: redrive.id },
          { 'data-main': 'true', class: 'strong' },
          h('code', {}, redrive.id),
        ),
      ),
      h('td', { 'data-label': 'State' }, redriveBadge(redrive)),
      h(
        'td',
        { 'data-label': 'What', class: 'what' },
        h('code', {}, text(redrive.filter === '' ? 'all' : redrive.filter)),
        ...(redrive.edited ? [h('span', { class: 'sub' }, 'edited')] : []),
      ),
      h('td', { 'data-label': 'By' }, redrive.automatic ? 'the service itself' : text(redrive.requested_by)),
      h('td', { 'data-label': 'Started', class: 'nowrap' }, age(redrive.started_at ?? redrive.created_at)),
      h(
        'td',
        { 'data-label': 'Redriven', class: 'number' },
        `${formatNumber(redrive.published)} of ${formatNumber(redrive.total)}`,
        ...(redrive.released === 0 ? [] : [h('span', { class: 'sub' }, `${formatNumber(redrive.released)} released`)]),
      ),
      h('td', { 'data-label': 'Resolved', class: 'number' }, formatNumber(redrive.resolved)),
      h('td', { 'data-label': 'Failed again', class: 'number' }, formatNumber(redrive.failed_again + redrive.parked)),
    )
  }

  return {
    node,
    title: 'Redrives',
    async load(signal) {
      const [answer] = await Promise.all([
        ask('/admin/replays', { query: { limit: SHOWN }, signal }),
        automatic.load(signal),
      ])
      redrives = answer.replays
      draw()
    },
    cli: () => dlqLine('redrives'),
    onEvent(name, data) {
      if (name === 'stream') automatic.take(data)
      if (name !== 'replay') return
      redrives = redrives.some(({ id }) => id === data.id)
        ? redrives.map(redrive => (redrive.id === data.id ? data : redrive))
        : [data, ...redrives]
      draw()
    },
  }
}

/** The progress of one redrive. */
export function redriveView(app, { id }) {
  const title = toDom(h('h2', { id: 'redrive-title' }, 'Redrive ', h('code', {}, id)))
  const state = toDom(h('p', { class: 'redrive-state' }))
  const actions = toDom(h('div', { class: 'actions' }))
  const bar = progressBar()
  const pace = toDom(h('p', { class: 'soft' }))
  const paused = toDom(h('div', {}))
  const outcomes = toDom(h('div', {}))
  const about = toDom(h('div', {}))
  const node = toDom(
    h(
      'article',
      { class: 'redrive', 'aria-labelledby': 'redrive-title' },
      h('nav', { class: 'way', 'aria-label': 'List' }, app.link({ view: 'replays' }, {}, '← All redrives')),
      h('header', { class: 'letter-head' }, h('div', {}, title, state), actions),
      paused,
      h('section', { class: 'card' }, bar.node, pace),
      h(
        'div',
        { class: 'columns' },
        h('div', { class: 'wide-column' }, card('What became of them', outcomes)),
        h('div', { class: 'side-column' }, card('About it', about)),
      ),
    ),
  )
  let redrive
  let told
  /** Samples of the published count over time, from which the current rate is computed. */
  let marks = []

  function take(next) {
    // A repeated event changes nothing, so the page is not redrawn: that could lose a click in progress.
    if (JSON.stringify(next) === JSON.stringify(redrive)) return
    const moved = redrive?.state !== next.state
    redrive = next
    marks = [
      // After a change of state, earlier samples no longer describe the current rate.
      ...marks.filter(({ atMs }) => !moved && atMs > performance.now() - 10_000),
      { atMs: performance.now(), published: next.published },
    ]
    draw()
    announce()
    if (moved) app.showCli()
  }

  function draw() {
    put(state, redriveBadge(redrive), ...(redrive.error === null ? [] : [' ', text(redrive.error)]))
    drawActions()
    drawPause()
    bar.show(redrive)
    pace.textContent = paceWords(redrive, paceOf(marks), redrive.pending)
    const counts = countsOf(redrive)
    put(
      outcomes,
      table(
        [['Outcome'], ['Dead letters', 'number']],
        Object.keys(RESULTS)
          .filter(name => name !== 'released' || counts.released > 0)
          .map(name => outcomeRow(name, counts[name])),
        { class: 'outcomes' },
      ),
    )
    put(about, facts(aboutIt()))
  }

  function drawPause() {
    const { state, paused_because: because } = redrive
    if (state !== 'paused' || because === null) return put(paused)
    const q = filterOfGroup(`replay:${id}`, because)
    const look = because.reason === null ? [] : [' ', app.link({ view: 'list', q }, {}, 'Look at them'), '.']
    put(
      paused,
      h(
        'div',
        { class: 'notice warning' },
        h('p', {}, 'It ', h('strong', {}, text(because.message)), '.', ...look),
        h('p', {}, 'Resume goes on without a canary, and counts failures anew. Cancel releases the others.'),
      ),
    )
  }

  function outcomeRow(name, count) {
    const filter = {
      resolved: 'state:resolved',
      failed_again: 'state:failed_again',
      parked: 'state:parked',
      under_way: 'state:replaying',
    }[name]
    const words = named(RESULTS, name)
    const link =
      filter === undefined || count === 0 ? words : app.link({ view: 'list', q: `replay:${id} ${filter}` }, {}, words)
    return h(
      'tr',
      { 'data-part': name },
      h(
        'td',
        {},
        h('span', { class: 'swatch', 'aria-hidden': 'true' }),
        link,
        h('span', { class: 'sub' }, name === 'under_way' ? UNDER_WAY[redrive.to] : OUTCOMES[name]),
      ),
      h('td', { class: 'number' }, formatNumber(count)),
    )
  }

  function aboutIt() {
    return [
      [
        'Filter',
        redrive.filter === ''
          ? 'all'
          : app.link({ view: 'list', q: redrive.filter }, {}, h('code', {}, text(redrive.filter))),
      ],
      ['Taken', app.link({ view: 'list', q: `replay:${id}` }, {}, letters(redrive.total))],
      ['Requested by', redrive.automatic ? 'the service itself' : redrive.requested_by],
      ['To', redrive.to === 'topic' ? 'the topic, for its other consumers too' : 'the store'],
      ['Why', reasonGiven(redrive.because)],
      ['Rate', redrive.rate === null ? 'no limit' : `${formatNumber(redrive.rate)} a second`],
      ['Canary', redrive.canary === 0 ? undefined : `${letters(redrive.canary)} first`],
      ['Pauses itself', redrive.max_failures === null ? undefined : maxWords(redrive.max_failures)],
      [
        'Rests',
        redrive.yield_above === 0 ? undefined : `while the stream is more than ${duration(redrive.yield_above)} behind`,
      ],
      ['Only those that pass', redrive.only_passing ? 'yes' : undefined],
      ['Edited', redrive.edited ? 'yes: with another value than the original' : undefined],
      ['Requested', absolute(redrive.created_at)],
      ['Started', redrive.started_at === null ? undefined : absolute(redrive.started_at)],
      ['Ended', redrive.finished_at === null ? undefined : absolute(redrive.finished_at)],
    ]
  }

  function drawActions() {
    const wanted = stepsOf(redrive)
    // Buttons are not replaced with each record, so that a click in progress is not lost.
    if (actions.dataset.has === wanted.join()) return
    actions.dataset.has = wanted.join()
    const had = actions.contains(document.activeElement)
    put(actions, ...wanted.map(name => button(STEP_NAMES[name], press(name), { title: STEP_HINTS[name] })))
    if (had) (actions.querySelector('button') ?? document.getElementById('view')).focus()
  }

  const press = name => async event => {
    const { currentTarget } = event
    currentTarget.disabled = true
    await steer(app, redrive, name, take)
    currentTarget.disabled = false
  }

  /** Announced to screen readers at each change of state and each quarter; announcing each record would be noise. */
  function announce() {
    const { total, published, state } = redrive
    const quarter = total === 0 ? 4 : Math.floor((published / total) * 4)
    const now = `${state} ${quarter}`
    if (now === told) return
    told = now
    app.say(
      `The redrive is ${redriveWords(redrive)}: ${doneWords(redrive)}, ${formatNumber(redrive.resolved)} resolved.`,
    )
  }

  return {
    node,
    title: `Redrive ${id}`,
    async load(signal) {
      const shown = redrive
      const answer = await ask(`/admin/replays/${encodeURIComponent(id)}`, { signal })
      // Events that arrived during the request may be newer than its answer, and later changes arrive as events too.
      if (redrive === shown) take(answer)
    },
    cli: () =>
      redrive !== undefined && redrive.state === 'paused'
        ? `${dlqLine('redrive')} --resume ${shellQuoted(id)}`
        : redrive !== undefined && isActive(redrive.state)
          ? `${dlqLine('pause')} ${shellQuoted(id)}`
          : dlqLine('ls', `replay:${id}`),
    onEvent(name, data) {
      if (name !== 'replay' || data.id !== id) return
      take(data)
      if (isFinal(data.state)) forgetList()
    },
  }
}

const OUTCOMES = {
  resolved: 'written, or there was a newer one already',
  failed_again: 'dead-lettered again, and open',
  parked: 'failed too often: only redriven when the filter names them',
  skipped: 'no longer open when their turn came, or gone from the topic',
  pending: 'their turn has not come',
  released: 'open as before: the redrive ended before their turn',
}

const UNDER_WAY = { store: 'in the page that is being settled', topic: 'published, not settled yet' }

const maxWords = most => `when more than ${formatNumber(most)} in a row fail again`

function paceOf(marks) {
  const [first] = marks
  const last = marks.at(-1)
  const seconds = (last.atMs - first.atMs) / 1000
  return seconds < 1 ? undefined : (last.published - first.published) / seconds
}

function paceWords(redrive, pace, rest) {
  const { state, pending, waiting_for: waits, started_at: started, finished_at: finished } = redrive
  const done = doneWords(redrive)
  if (finished !== null && started !== null)
    return `${done}, in ${duration(Math.max(0.1, (Date.parse(finished) - Date.parse(started)) / 1000))}.`
  if (state === 'running' && waits !== null) return `${done}. It ${waits.message}.`
  if (state !== 'running' || pace === undefined || pace === 0) return `${done}.`
  return `${done}, ${formatNumber(Math.round(pace))} a second now${pending === 0 ? '' : `, about ${duration(Math.max(1, rest / pace))} to go`}.`
}
