import { toDom } from '../dom.js'
import { formatNumber } from '../format.js'
import { h, text } from '../tree.js'
import { ask } from './desk.js'
import { labelled, openDialog } from './dialog.js'
import { healthOf, needsOperator } from './health.js'
import { age, button, cliLine, put, table } from './parts.js'
import { sparkline, sumOf } from './sparkline.js'
import { duration, named, PAUSES, plural } from './words.js'

const ARRIVALS_MS = 60_000
const HOURS = 24
const SIGNS = { good: 'Healthy', fair: 'Attention', bad: 'Trouble', unknown: '…' }

/** The stream at a glance: one sentence, four figures, and what each partition does. */
export function createGlance(place, app) {
  const sign = toDom(h('span', { class: 'sign' }))
  const sentence = toDom(h('p', { class: 'health' }))
  const figures = toDom(h('dl', { class: 'figures' }))
  const decide = toDom(h('div', { class: 'decide' }))
  const partitions = toDom(h('div', {}))
  const summary = toDom(h('summary', {}))
  const details = toDom(h('details', { class: 'partitions' }, summary, partitions))
  put(place, h('div', { class: 'health-line' }, sign, sentence), figures, decide, details)
  let stream
  let arrivals
  let askedMs = Number.NEGATIVE_INFINITY
  let decided

  function take(next) {
    stream = next
    draw()
    if (performance.now() - askedMs > ARRIVALS_MS) void lookAtArrivals()
  }

  /** Of all dead letters, whatever the filter below is. */
  async function lookAtArrivals() {
    askedMs = performance.now()
    try {
      const { groups, starts } = await ask('/admin/dead-letters/arrivals', { query: { q: '' } })
      const none = new Array(HOURS).fill(0)
      const counts = groups.reduce((sum, group) => sum.map((count, hour) => count + group.counts[hour]), none)
      arrivals = { counts, starts }
      draw()
    } catch {
      arrivals = undefined
    }
  }

  function draw() {
    const { level, words } = healthOf(stream)
    sign.dataset.level = level
    sign.textContent = SIGNS[level]
    if (sentence.textContent !== words) sentence.textContent = words
    if (stream === undefined) return
    const { breakers = [], dead_letters: letters } = stream
    const open = breakers.filter(breaker => breaker.open)
    put(
      figures,
      ...figure('Settled', stream.rate == null ? '–' : `${formatNumber(rounded(stream.rate))}`, 'records a second'),
      ...figure(
        'Lag',
        stream.lag_seconds == null ? '–' : duration(stream.lag_seconds),
        stream.lag_records == null ? '' : plural(stream.lag_records, 'record', 'records'),
      ),
      ...figure(
        'Breakers',
        open.length === 0 ? 'closed' : `${open.length} open`,
        open.length === 0
          ? `${formatNumber(breakers.length)} dependencies answer`
          : open.map(breaker => `${breaker.dependency}: ${breaker.reason ?? 'away'}`).join('; '),
        open.length > 0,
      ),
      ...figure(
        'Open dead letters',
        letters === undefined ? '–' : formatNumber(letters.open),
        letters?.oldest_age_seconds == null ? '' : `oldest ${duration(letters.oldest_age_seconds)}`,
      ),
      ...(arrivals === undefined ? [] : [arrivalsFigure(arrivals)]),
    )
    drawPartitions()
  }

  function drawPartitions() {
    const { partitions: all = [] } = stream
    const paused = all.filter(({ paused = [] }) => paused.length > 0)
    details.hidden = all.length === 0
    summary.textContent = `${formatNumber(all.length)} ${all.length === 1 ? 'partition' : 'partitions'}, ${paused.length === 0 ? 'none paused' : `${formatNumber(paused.length)} paused`}`
    put(
      partitions,
      table(
        [['Partition'], ['Next offset', 'number'], ['High-water mark', 'number'], ['Lag', 'number'], ['Paused']],
        all.map(row),
        { class: 'cards-on-phone' },
      ),
    )
    const waiting = all.filter(needsOperator)
    const now = waiting.map(({ partition, halted }) => `${partition} ${halted ?? ''}`).join()
    // The button stays the same one while somebody is about to press it.
    if (now === decided) return
    decided = now
    put(decide, ...decisions(waiting))
  }

  function row({ partition, next, high, lag_records: records, lag_seconds: seconds, paused = [], halted }) {
    return h(
      'tr',
      {},
      h('td', { 'data-label': 'Partition' }, String(partition)),
      h('td', { 'data-label': 'Next offset', class: 'number' }, String(next ?? '–')),
      h('td', { 'data-label': 'High-water mark', class: 'number' }, String(high ?? '–')),
      h(
        'td',
        { 'data-label': 'Lag', class: 'number' },
        records == null ? '–' : `${formatNumber(Number(records))}${seconds == null ? '' : ` · ${duration(seconds)}`}`,
      ),
      h(
        'td',
        { 'data-label': 'Paused' },
        paused.length === 0 && halted == null
          ? h('span', { class: 'soft' }, 'no')
          : [...paused.map(reason => named(PAUSES, reason)), ...(halted == null ? [] : [halted])].join('; '),
      ),
    )
  }

  /** Those that the guard stopped have one story; each that is halted has its own. */
  function decisions(waiting) {
    const halted = waiting.filter(partition => partition.halted != null)
    const guarded = waiting.filter(partition => partition.halted == null).map(({ partition }) => partition)
    const notices = halted.map(partition => h('div', { class: 'notice warning' }, h('p', {}, text(partition.halted))))
    if (guarded.length === 0) return notices
    const which = guarded.length === 1 ? `partition ${guarded[0]}` : `partitions ${guarded.join(', ')}`
    const buttons = guarded.map(partition => button(`Resume partition ${partition} …`, () => resume(partition)))
    if (guarded.length > 1) buttons.push(button('Resume all …', () => resume(undefined)))
    const words = `The storm guard stopped ${which}: too many dead letters in a row. Look at what they have in common before you let it go on.`
    return [
      ...notices,
      h('div', { class: 'notice warning' }, h('p', {}, words), h('div', { class: 'actions' }, ...buttons)),
    ]
  }

  /** @param {number | undefined} partition all of them */
  function resume(partition) {
    const which = partition === undefined ? 'all partitions' : `partition ${partition}`
    const because = labelled(
      'Why',
      { type: 'text', autocomplete: 'off', required: true, maxlength: '500' },
      'The audit log keeps it.',
    )
    const line = cliLine()
    line.say(`bin/holdfast resume${partition === undefined ? '' : ` --partition ${partition}`}`)
    const dialog = openDialog({
      title: `Resume ${which}`,
      body: [toDom(because.node), line.node],
      submit: 'Resume',
      async onSubmit() {
        const why = because.input.value.trim()
        because.input.setAttribute('aria-invalid', String(why === ''))
        if (why === '') {
          because.input.focus()
          return dialog.troubled('Say why: somebody will wonder.')
        }
        const { lifted } = await ask('/admin/stream/resume', { body: { partition, because: why } })
        dialog.close()
        const gone = lifted.map(lift => lift.partition).join(', ')
        app.tell(gone === '' ? 'Nothing was stopped any more.' : `Going on: partition ${gone}.`)
        await load()
      },
    })
    because.input.focus()
  }

  async function load() {
    try {
      take(await ask('/admin/stream'))
    } catch {
      // The strip above the view says what is wrong; this one shows what it last heard.
    }
  }

  draw()
  return { take }
}

function arrivalsFigure({ counts, starts }) {
  const sum = formatNumber(sumOf(counts))
  // A deploy says more than the restarts that came after it.
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
    ),
  )
}

function figure(name, value, words, alarming = false) {
  return [
    h(
      'div',
      { class: alarming ? 'figure alarming' : 'figure' },
      h('dt', {}, name),
      h(
        'dd',
        {},
        h('span', { class: 'big' }, value),
        ...(words === '' ? [] : [h('span', { class: 'sub' }, text(words))]),
      ),
    ),
  ]
}

function rounded(rate) {
  return rate < 10 ? Math.round(rate * 10) / 10 : Math.round(rate)
}
