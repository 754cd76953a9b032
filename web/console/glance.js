import { toDom } from '../dom.js'
import { formatNumber } from '../format.js'
import { h, text } from '../tree.js'
import { agoOf, healthOf, needsOperator, pausesOf, silenceOf } from './health.js'
import { age, button, put, redraw, table } from './parts.js'
import { openPause, openResume, pauseNotice } from './pauses.js'
import { ask } from './requests.js'
import { dashboardLink, runbookLink, runbooksOf, useDashboard } from './runbooks.js'
import { sparkline, sumOf } from './sparkline.js'
import { ATTENTION } from './states.js'
import { CAUSE_STATES, causeOf, duration, named, PAUSES, plural } from './words.js'

const ARRIVALS_MS = 60_000
/** Sooner when another number is open than at the last time, because both figures stand side by side. */
const ARRIVALS_CHANGED_MS = 10_000
const HOURS = 24
/** Redraws this often, because the ages on the page grow while no events arrive. */
const REDRAW_MS = 1_000
const SIGNS = { good: 'Healthy', fair: 'Attention', bad: 'Trouble', unknown: '…' }

/** Overview of the stream: sentences, figures (with their age where they are outdated), and the state of each partition. */
export function createGlance(place, app) {
  const sign = toDom(h('span', { class: 'sign' }))
  const sentence = toDom(h('p', { class: 'health' }))
  const others = toDom(h('ul', { class: 'troubles' }))
  const beside = toDom(h('p', { class: 'soft beside' }))
  const guides = toDom(h('p', { class: 'guides' }))
  const figures = toDom(h('dl', { class: 'figures' }))
  const decide = toDom(h('div', { class: 'decide' }))
  const partitions = toDom(h('div', {}))
  const summary = toDom(h('summary', {}))
  const details = toDom(h('details', { class: 'partitions' }, summary, partitions))
  put(
    place,
    h('div', { class: 'health-line' }, sign, h('div', {}, sentence, others, beside, guides)),
    figures,
    decide,
    details,
  )
  let stream
  let arrivals
  let askedMs = Number.NEGATIVE_INFINITY
  let openWhenAsked
  let heardMs = performance.now()
  let decided
  let guided

  function take(next) {
    stream = next
    useDashboard(stream.grafana_url)
    heardMs = performance.now()
    draw()
    lookIfDue()
  }

  function lookIfDue() {
    const open = stream.dead_letters?.open
    const waitMs = open === openWhenAsked ? ARRIVALS_MS : ARRIVALS_CHANGED_MS
    if (performance.now() - askedMs <= waitMs) return
    openWhenAsked = open
    void lookAtArrivals()
  }

  /** Counts all dead letters, independent of the filter of the view below. */
  async function lookAtArrivals() {
    askedMs = performance.now()
    try {
      const { groups, starts } = await ask('/admin/dead-letters/arrivals', { query: { q: '' } })
      const none = new Array(HOURS).fill(0)
      const counts = groups.reduce((sum, group) => sum.map((count, hour) => count + group.counts[hour]), none)
      arrivals = { counts, starts, atMs: performance.now() }
    } catch {
      // The last known figures stay on the page, with their age.
      arrivals ??= null
    }
    draw()
  }

  function draw() {
    const { level, words, also } = healthOf(stream, Date.now(), heardSeconds())
    const [first, ...rest] = words
    place.dataset.level = level
    sign.dataset.level = level
    sign.textContent = SIGNS[level]
    if (sentence.textContent !== first) sentence.textContent = first
    put(others, ...rest.map(trouble => h('li', {}, trouble)))
    beside.textContent = also.join(' ')
    if (stream === undefined) return
    drawGuides()
    put(
      figures,
      settledFigure(stream, heardSeconds()),
      lagFigure(stream, heardSeconds()),
      breakersFigure(stream),
      lettersFigure(stream, heardSeconds()),
      ...(arrivals === undefined ? [] : [arrivalsFigure(arrivals)]),
    )
    drawPartitions()
  }

  /** Runbooks of what is wrong, and the dashboard. The links are replaced only when they change, so that a click is not lost. */
  function drawGuides() {
    const names = runbooksOf(stream)
    const now = [...names, stream.grafana_url].join()
    if (now === guided) return
    guided = now
    const links = [...names.map(name => runbookLink(name)), ...[dashboardLink()].filter(link => link !== undefined)]
    const parted = links.flatMap((link, index) => (index === 0 ? [link] : [' · ', link]))
    put(guides, ...(links.length === 0 ? [] : [names.length === 0 ? '' : 'Runbooks: ', ...parted]))
  }

  function heardSeconds() {
    return (performance.now() - heardMs) / 1000
  }

  function drawPartitions() {
    const { partitions: all = [] } = stream
    const paused = all.filter(({ paused = [] }) => paused.length > 0)
    details.hidden = all.length === 0
    summary.textContent = `${formatNumber(all.length)} ${all.length === 1 ? 'partition' : 'partitions'}, ${paused.length === 0 ? 'none paused' : `${formatNumber(paused.length)} paused`}`
    const held = pausesOf(stream)
    const isHeld = held.some(({ partition }) => partition === undefined)
    redraw(partitions, () =>
      put(
        partitions,
        table(
          [
            ...[['Partition'], ['Next offset', 'number'], ['High-water mark', 'number'], ['Lag', 'number'], ['Paused']],
            [h('span', { class: 'visually-hidden' }, 'Actions')],
          ],
          all.map(row),
          { class: 'cards-on-phone' },
        ),
        h(
          'div',
          { class: 'actions', 'data-row': 'stream' },
          ...(isHeld ? [] : [button('Pause the stream …', () => openPause(app, undefined, load))]),
        ),
      ),
    )
    const waiting = all.filter(needsOperator)
    const now = JSON.stringify([waiting.map(shown => [shown.partition, shown.halted ?? causeOf(shown)]), held])
    // The buttons are replaced only when the decisions change, so that a click in progress is not lost.
    if (now === decided) return
    decided = now
    const resumed = partition => () => openResume(app, { partition, lift: 'operator' }, load)
    put(decide, ...decisions(waiting), ...held.map(one => pauseNotice(one, resumed(one.partition))))
  }

  function row(one) {
    const { partition, here, next, high, lag_records: records, lag_seconds: seconds } = one
    const booksAge = stream.age_seconds?.partitions ?? 0
    const highAge = one.high_age_seconds ?? 0
    return h(
      'tr',
      { 'data-row': `partition-${partition}` },
      h('td', { 'data-label': 'Partition' }, String(partition)),
      h('td', { 'data-label': 'Next offset', class: 'number' }, String(next ?? '–'), oldNote(here ? 0 : booksAge)),
      h('td', { 'data-label': 'High-water mark', class: 'number' }, String(high ?? '–'), oldNote(highAge)),
      h(
        'td',
        { 'data-label': 'Lag', class: 'number' },
        records == null ? '–' : `${formatNumber(Number(records))}${seconds == null ? '' : ` · ${duration(seconds)}`}`,
      ),
      h('td', { 'data-label': 'Paused' }, pauseWords(one)),
      h(
        'td',
        { class: 'row-actions' },
        ...(one.operator_pause == null
          ? [button(`Pause partition ${partition} …`, () => openPause(app, partition, load))]
          : []),
      ),
    )
  }

  function pauseWords(one) {
    const { paused = [], halted, unreadable, operator_pause: pause } = one
    const words = [
      ...(pause == null ? [] : [`paused by ${pause.by}: ${pause.because}`]),
      ...paused
        .filter(reason => reason !== 'operator')
        .map(reason => named(PAUSES, reason) + (reason === 'storm_guard' ? `: ${causeOf(one)}` : '')),
      ...(halted == null ? [] : [halted]),
      ...(unreadable == null ? [] : [unreadable]),
    ]
    return words.length === 0 ? h('span', { class: 'soft' }, 'no') : words.join('; ')
  }

  /** Partitions that the storm guard stopped share one message; each halted partition has its own. */
  function decisions(waiting) {
    const halted = waiting.filter(partition => partition.halted != null)
    const stopped = waiting.filter(partition => partition.halted == null)
    const guarded = stopped.map(({ partition }) => partition)
    const notices = halted.map(partition =>
      h(
        'div',
        { class: 'notice warning' },
        h('p', {}, text(partition.halted), ' ', runbookLink('HoldfastPartitionHalted', 'Runbook')),
      ),
    )
    if (guarded.length === 0) return notices
    const which = guarded.length === 1 ? `partition ${guarded[0]}` : `partitions ${guarded.join(', ')}`
    const resume = partition => () => openResume(app, { partition, lift: 'storm_guard' }, load)
    const buttons = guarded.map(partition => button(`Resume partition ${partition} …`, resume(partition)))
    if (guarded.length > 1) buttons.push(button('Resume all …', resume(undefined)))
    const causes = [...new Set(stopped.map(causeOf))].join('; ')
    const words = `The storm guard stopped ${which}: ${causes}. Look at what they have in common before you let it go on.`
    return [
      ...notices,
      h(
        'div',
        { class: 'notice warning' },
        h('p', {}, words, ' ', runbookLink('HoldfastStormGuard', 'Runbook')),
        h('div', { class: 'actions' }, ...buttons),
      ),
    ]
  }

  async function load() {
    try {
      take(await ask('/admin/stream'))
    } catch {
      // The strip above the view reports the error; this part keeps showing the last state received.
    }
  }

  draw()
  setInterval(() => {
    // An event is sent only when something changes, and the next one may be long in coming.
    if (stream !== undefined && !document.hidden && place.checkVisibility()) lookIfDue()
    const isOld = agoOf(heardSeconds()) !== undefined || healthOf(stream).level === 'bad'
    // Does not redraw while an element is being pressed, because that would lose the click.
    if (isOld && !document.hidden && place.querySelector(':active') === null) draw()
  }, REDRAW_MS)
  return { take, heardSeconds, silentSeconds: () => silenceOf(stream) }
}

function settledFigure({ rate, age_seconds: ages }, heardSeconds) {
  const value = rate == null ? '–' : formatNumber(rounded(rate))
  return figure('Settled', value, [rate == null ? 'not known' : 'records a second'], {
    old: aged(ages?.rate, heardSeconds),
  })
}

function lagFigure({ lag_seconds: seconds, lag_records: records, partitions = [] }, heardSeconds) {
  const unknown = partitions.filter(({ lag_records: lag }) => lag == null).length
  const of =
    unknown === 0 ? '' : ` in ${partitions.length - unknown} of ${plural(partitions.length, 'partition', 'partitions')}`
  const words = records == null ? 'not known' : `${plural(records, 'record', 'records')}${of}`
  const told = Math.max(0, ...partitions.map(({ high_age_seconds: age }) => age ?? 0))
  const value = seconds == null ? '–' : duration(seconds)
  return figure('Lag', value, [words], { old: aged(told, heardSeconds), verb: 'Kafka reported' })
}

function breakersFigure(stream) {
  const { breakers = [] } = stream
  const open = breakers.filter(breaker => breaker.open)
  if (open.length > 0) {
    const words = open.map(({ dependency, reason = 'away' }) =>
      reason.toLowerCase().startsWith(dependency) ? reason : `${dependency}: ${reason}`,
    )
    return figure('Breakers', `${open.length} open`, words, { alarming: true })
  }
  if (breakers.length === 0) return figure('Breakers', '–', ['this process has none'])
  const silent = silenceOf(stream)
  if (silent > 0) return figure('Breakers', 'closed', [`Postgres silent for ${duration(silent)}`], { alarming: true })
  return figure('Breakers', 'closed', [`${formatNumber(breakers.length)} dependencies answer`])
}

function lettersFigure({ dead_letters: letters, age_seconds: ages }, heardSeconds) {
  if (letters == null) return figure('Open dead letters', '–', ['not known'])
  const { open, oldest_age_seconds: oldest } = letters
  const words = [...(oldest == null ? [] : [`oldest ${duration(oldest)}`]), ...askingWords(letters)]
  return figure('Open dead letters', formatNumber(open), words, { old: aged(ages?.dead_letters, heardSeconds) })
}

/** `2 new, 1 came back`: causes that ask for attention. */
function askingWords({ open, attention = {} }) {
  const asking = ATTENTION.filter(state => attention[state] > 0)
  if (asking.length === 0) return open === 0 ? [] : ['all causes known']
  return [`causes: ${asking.map(state => `${formatNumber(attention[state])} ${CAUSE_STATES[state]}`).join(', ')}`]
}

/** Adds the time since the event arrived to an age that the event reported. */
function aged(seconds, heardSeconds) {
  return agoOf(seconds == null ? undefined : seconds + heardSeconds)
}

function oldNote(seconds) {
  const ago = agoOf(seconds)
  return ago === undefined ? '' : h('span', { class: 'sub old-note' }, ago)
}

function arrivalsFigure(arrivals) {
  if (arrivals === null) return figure('Arrivals, 24 h', '–', ['not known'])
  const { counts, starts, atMs } = arrivals
  const readSeconds = (performance.now() - atMs) / 1000
  // The counts are fetched again each minute at least.
  const old = readSeconds > (2 * ARRIVALS_MS) / 1000 ? agoOf(readSeconds) : undefined
  const sum = formatNumber(sumOf(counts))
  // A deploy is preferred to the restarts that followed it, because it explains more.
  const last = starts.findLast(({ deployed }) => deployed) ?? starts.at(-1)
  const began =
    last === undefined
      ? []
      : [
          h(
            'span',
            { class: 'sub' },
            text(last.version),
            last.deployed ? ' deployed ' : ' restarted ',
            age(last.at),
            ' ago',
          ),
        ]
  return h(
    'div',
    { class: 'figure' },
    h('dt', {}, 'Arrivals, 24 h'),
    h(
      'dd',
      {},
      h(
        'span',
        { class: 'arrivals' },
        sparkline(counts, `${sum} dead letters in the last 24 hours`, starts),
        h('span', { class: 'soft' }, sum),
      ),
      ...began,
      ...(old === undefined ? [] : [h('span', { class: 'sub old-note' }, old)]),
    ),
  )
}

/**
 * @param {string} name
 * @param {string} value
 * @param {string[]} words
 * @param {{ alarming?: boolean, old?: string, verb?: string }} [look] `old`: how long ago it was known
 */
function figure(name, value, words, { alarming = false, old, verb } = {}) {
  const kind = alarming ? ' alarming' : old === undefined ? '' : ' old'
  return h(
    'div',
    { class: `figure${kind}` },
    h('dt', {}, name),
    h(
      'dd',
      {},
      h('span', { class: 'big' }, value),
      ...words.map(line => h('span', { class: 'sub' }, text(line))),
      ...(old === undefined ? [] : [h('span', { class: 'sub old-note' }, verb === undefined ? old : `${verb} ${old}`)]),
    ),
  )
}

function rounded(rate) {
  return rate < 10 ? Math.round(rate * 10) / 10 : Math.round(rate)
}
