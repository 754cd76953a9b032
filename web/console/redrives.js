import { toDom } from '../dom.js'
import { formatNumber } from '../format.js'
import { h, text } from '../tree.js'
import { dlqLine, shellQuoted } from './cli-line.js'
import { forgetList } from './list-memory.js'
import { absolute, age, badge, button, card, facts, notice, put, redraw, table } from './parts.js'
import { ask } from './requests.js'
import { STEPS } from './states.js'
import { createSwitch } from './switch.js'
import { duration, isActive, isFinal, letters, named, REDRIVE_STATES, RESULTS, reasonGiven } from './words.js'

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
      ['Published', 'number'],
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
      h('td', { 'data-label': 'State' }, badge(redrive.state, named(REDRIVE_STATES, redrive.state))),
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
        { 'data-label': 'Published', class: 'number' },
        `${formatNumber(redrive.published)} of ${formatNumber(redrive.total)}`,
        ...(releasedOf(redrive) === 0
          ? []
          : [h('span', { class: 'sub' }, `${formatNumber(releasedOf(redrive))} released`)]),
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
  const segments = ['resolved', 'failed_again', 'parked', 'skipped', 'under_way'].map(name =>
    toDom(h('span', { 'data-part': name })),
  )
  const bar = toDom(
    h('div', { class: 'progress', role: 'progressbar', 'aria-label': 'Published', 'aria-valuemin': '0' }, ...segments),
  )
  const pace = toDom(h('p', { class: 'soft' }))
  const outcomes = toDom(h('div', {}))
  const about = toDom(h('div', {}))
  const node = toDom(
    h(
      'article',
      { class: 'redrive', 'aria-labelledby': 'redrive-title' },
      h('nav', { class: 'way', 'aria-label': 'List' }, app.link({ view: 'replays' }, {}, '← All redrives')),
      h('header', { class: 'letter-head' }, h('div', {}, title, state), actions),
      h('section', { class: 'card' }, bar, pace),
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
    const { total, pending, published, skipped } = redrive
    put(
      state,
      badge(redrive.state, named(REDRIVE_STATES, redrive.state)),
      ...(redrive.error === null ? [] : [' ', text(redrive.error)]),
    )
    drawActions()
    const counts = countsOf(redrive)
    for (const segment of segments)
      segment.style.width = `${total === 0 ? 0 : (counts[segment.dataset.part] / total) * 100}%`
    bar.setAttribute('aria-valuemax', String(total))
    bar.setAttribute('aria-valuenow', String(published + skipped))
    bar.setAttribute('aria-valuetext', `${formatNumber(published)} of ${formatNumber(total)} published`)
    pace.textContent = paceWords(redrive, paceOf(marks), pending)
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
        h('span', { class: 'sub' }, OUTCOMES[name]),
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
      ['Why', reasonGiven(redrive.because)],
      ['Rate', redrive.rate === null ? 'no limit' : `${formatNumber(redrive.rate)} a second`],
      ['Only those that pass', redrive.only_passing ? 'yes' : undefined],
      ['Edited', redrive.edited ? 'yes: another value than the original was published' : undefined],
      ['Requested', absolute(redrive.created_at)],
      ['Started', redrive.started_at === null ? undefined : absolute(redrive.started_at)],
      ['Ended', redrive.finished_at === null ? undefined : absolute(redrive.finished_at)],
    ]
  }

  function drawActions() {
    const can = {
      pause: STEPS.pause.includes(redrive.state),
      resume: STEPS.resume.includes(redrive.state) && redrive.pending > 0,
      cancel: STEPS.cancel.includes(redrive.state),
    }
    const names = { pause: 'Pause', resume: 'Resume', cancel: 'Cancel' }
    const wanted = Object.keys(names).filter(name => can[name])
    // Buttons are not replaced with each record, so that a click in progress is not lost.
    if (actions.dataset.has === wanted.join()) return
    actions.dataset.has = wanted.join()
    const had = actions.contains(document.activeElement)
    put(actions, ...wanted.map(name => button(names[name], steer(name), { title: HINTS[name] })))
    if (had) (actions.querySelector('button') ?? document.getElementById('view')).focus()
  }

  const steer = name => async event => {
    const { currentTarget } = event
    currentTarget.disabled = true
    try {
      take(await ask(`/admin/replays/${id}/${name}`, { body: {} }))
      forgetList()
    } catch (failure) {
      const { running } = failure.problem ?? {}
      app.tell(
        `${failure.title}. ${failure.message}`,
        ...(running === undefined ? [] : [app.link({ view: 'replay', id: running.id }, {}, 'Look at it')]),
      )
    } finally {
      currentTarget.disabled = false
    }
  }

  /** Announced to screen readers at each change of state and each quarter; announcing each record would be noise. */
  function announce() {
    const { total, published, state } = redrive
    const quarter = total === 0 ? 4 : Math.floor((published / total) * 4)
    const now = `${state} ${quarter}`
    if (now === told) return
    told = now
    app.say(
      `The redrive is ${named(REDRIVE_STATES, state)}: ${formatNumber(published)} of ${formatNumber(total)} published, ${formatNumber(redrive.resolved)} resolved.`,
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

/** All states of a member, so that the parts add up to the total. */
function countsOf(redrive) {
  const { resolved, failed_again, parked, skipped, pending, published } = redrive
  return {
    released: releasedOf(redrive),
    resolved,
    failed_again,
    parked,
    skipped,
    under_way: Math.max(0, published - resolved - failed_again - parked),
    pending,
  }
}

/** Members that were not reached before the redrive ended. */
function releasedOf({ state, total, published, skipped, pending }) {
  return isFinal(state) ? Math.max(0, total - published - skipped - pending) : 0
}

const OUTCOMES = {
  resolved: 'written, or there was a newer one already',
  failed_again: 'dead-lettered again, and open',
  parked: 'failed too often: only redriven when the filter names them',
  skipped: 'no longer open when their turn came, or gone from the topic',
  under_way: 'published, not settled yet',
  pending: 'their turn has not come',
  released: 'open as before: the redrive ended before their turn',
}
const HINTS = {
  pause: 'What is published stays published; the rest waits.',
  resume: 'Goes on where it stopped.',
  cancel: 'What is published stays published; the others are open again.',
}

function paceOf(marks) {
  const [first] = marks
  const last = marks.at(-1)
  const seconds = (last.atMs - first.atMs) / 1000
  return seconds < 1 ? undefined : (last.published - first.published) / seconds
}

function paceWords({ state, total, published, pending, started_at: started, finished_at: finished }, pace, rest) {
  const done = `${formatNumber(published)} of ${formatNumber(total)} published`
  if (finished !== null && started !== null)
    return `${done}, in ${duration(Math.max(0.1, (Date.parse(finished) - Date.parse(started)) / 1000))}.`
  if (state !== 'running' || pace === undefined || pace === 0) return `${done}.`
  return `${done}, ${formatNumber(Math.round(pace))} a second now${pending === 0 ? '' : `, about ${duration(Math.max(1, rest / pace))} to go`}.`
}
