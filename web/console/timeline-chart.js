import { formatNumber } from '../format.js'
import { h } from '../tree.js'
import { happeningsOf, happeningWords, isLong, rateWords, spanOf, ticksOf } from './past.js'
import { duration } from './words.js'

/** The chart of the past: lanes below one another on one axis of time. A plain value: the view puts it on the page. */

const TITLE = 18
const CURVE = 52
const BAR = 8
const BAR_ROW = 26
const PINS = 22
const GAP = 14
const AXIS = 20
/** Marks closer than this stand together as one. */
const MARK_APART = 14
const TICK_APART = 76

/**
 * @param {any} past as `GET /admin/timeline` returns it
 * @param {number} width in pixels
 * @returns {{ height: number, toX: (ms: number) => number, toMs: (x: number) => number, lanes: any[] }}
 */
export function chartOf(past, width) {
  const span = spanOf(past)
  const withDay = isLong(past)
  const toX = ms => ((ms - span.fromMs) / (span.toMs - span.fromMs)) * width
  const toMs = x => span.fromMs + (Math.min(Math.max(x, 0), width) / width) * (span.toMs - span.fromMs)
  const stepWidth = width / past.rate.length
  const happenings = happeningsOf(past)
  const lanes = []
  let y = 0
  const lane = (name, note, height, draw) => {
    lanes.push(
      h('text', { class: 'lane-name', x: '0', y: String(y + 13) }, name),
      ...(note === ''
        ? []
        : [h('text', { class: 'lane-note', x: String(width), y: String(y + 13), 'text-anchor': 'end' }, note)]),
      ...draw(y + TITLE),
    )
    y += TITLE + height + GAP
  }
  const most = values => Math.max(0, ...values.map(value => value ?? 0))
  const base = top =>
    h('line', { class: 'base', x1: '0', x2: String(width), y1: String(top + CURVE), y2: String(top + CURVE) })

  const topRate = most(past.rate)
  lane('Records settled a second', `most ${rateWords(topRate)}`, CURVE, top => [
    base(top),
    ...curves('rate', past.rate, topRate, stepWidth, top),
  ])
  const topLag = most(past.lag_seconds)
  lane('Lag', `most ${duration(topLag)}`, CURVE, top => [
    base(top),
    ...curves('lag', past.lag_seconds, topLag, stepWidth, top),
  ])
  const topLetters = most(past.dead_letters)
  lane('Dead letters', `most ${formatNumber(topLetters)} in ${duration(past.step_seconds)}`, CURVE, top => [
    base(top),
    ...bars(past.dead_letters, topLetters, stepWidth, top),
  ])
  const rows = [
    ...Map.groupBy(
      happenings.filter(({ kind }) => kind === 'stop'),
      ({ words }) => words,
    ),
  ]
  lane('Stood still', rows.length === 0 ? 'nothing' : '', rows.length * BAR_ROW, top =>
    rows.flatMap(([words, stops], row) => [
      h('text', { class: 'stop-name', x: '0', y: String(top + row * BAR_ROW + 11) }, words),
      ...stops.map(stop => stopBar(stop, { toX, y: top + row * BAR_ROW + 15, endMs: span.toMs, withDay })),
    ]),
  )
  const marks = happenings.filter(({ kind }) => kind !== 'stop').toReversed()
  lane('Deploys and actions', marks.length === 0 ? 'none' : '', marks.length === 0 ? 0 : PINS, top =>
    together(marks, toX).map((group, index) => pin(group, { toX, y: top, withDay, isFirst: index === 0 })),
  )
  const height = y + AXIS
  const ticks = ticksOf(span, Math.max(2, Math.floor(width / TICK_APART)))
  const axis = ticks.flatMap(({ ms, words }) => {
    const x = toX(ms)
    const anchor = x < 20 ? 'start' : x > width - 20 ? 'end' : 'middle'
    return [
      h('line', { class: 'tick', x1: String(x), x2: String(x), y1: '0', y2: String(y) }),
      h('text', { class: 'tick-name', x: String(x), y: String(y + 14), 'text-anchor': anchor }, words),
    ]
  })
  return { height, toX, toMs, lanes: [...axis, ...unknown(past, stepWidth, y), ...lanes] }
}

/** Steps of which nothing is known, but for the last two, which may not be written yet. */
function unknown({ rate }, stepWidth, height) {
  return runsOf(rate.slice(0, -2), value => value === null).map(([from, to]) =>
    h('rect', {
      class: 'unknown',
      x: String(from * stepWidth),
      y: '0',
      width: String((to - from) * stepWidth),
      height: String(height),
    }),
  )
}

/** A line, and the area below it, for each run of known steps. */
function curves(name, values, most, stepWidth, top) {
  return runsOf(values, value => value !== null).flatMap(([from, to]) => {
    const points = values.slice(from, to).map((value, index) => {
      const y = top + CURVE - (most === 0 ? 0 : (value / most) * CURVE)
      return `${((from + index + 0.5) * stepWidth).toFixed(1)} ${y.toFixed(1)}`
    })
    const [first, last] = [(from + 0.5) * stepWidth, (to - 0.5) * stepWidth]
    const line = `M${points.join('L')}`
    return [
      h('path', {
        class: `area ${name}`,
        d: `${line}L${last.toFixed(1)} ${top + CURVE}L${first.toFixed(1)} ${top + CURVE}Z`,
      }),
      // A run of one step has no length, and a round end makes it a dot.
      h('path', { class: `line ${name}`, d: points.length === 1 ? `${line}h0.01` : line }),
    ]
  })
}

function bars(values, most, stepWidth, top) {
  return values.flatMap((value, step) => {
    if (!value) return []
    const height = Math.max(2, (value / most) * CURVE)
    const width = Math.max(1, stepWidth - (stepWidth > 3 ? 1 : 0))
    const x = String(step * stepWidth)
    return [
      h('rect', { class: 'letters', x, y: String(top + CURVE - height), width: String(width), height: String(height) }),
    ]
  })
}

function stopBar(stop, { toX, y, endMs, withDay }) {
  const x = Math.max(0, toX(stop.fromMs))
  const width = Math.max(3, toX(stop.toMs ?? endMs) - x)
  return h('rect', {
    class: stop.stop.kind === 'breaker' ? 'stop breaker' : 'stop',
    ...{ x: String(x), y: String(y), width: String(width), height: String(BAR), rx: '2' },
    'data-words': happeningWords(stop, withDay),
  })
}

/** @returns {any[][]} marks that stand too close to be told apart, in one group */
function together(marks, toX) {
  const groups = []
  for (const mark of marks) {
    const last = groups.at(-1)
    if (last !== undefined && toX(mark.fromMs) - toX(last[0].fromMs) < MARK_APART) last.push(mark)
    else groups.push([mark])
  }
  return groups
}

/** One of them can be reached with Tab, and the others from there with the arrow keys. */
function pin(group, { toX, y, withDay, isFirst }) {
  const x = Math.max(6, toX(group[0].fromMs))
  const isDeploy = group.some(({ deployed }) => deployed)
  const kind = isDeploy ? 'deploy' : group.some(({ kind }) => kind === 'action') ? 'action' : 'restart'
  const shape = {
    deploy: `M${x} ${y + 2}l6 12h-12Z`,
    restart: `M${x} ${y + 2}l6 12h-12Z`,
    action: `M${x} ${y + 1}l6 7l-6 7l-6 -7Z`,
  }[kind]
  const words = group.map(mark => happeningWords(mark, withDay)).join('; ')
  return h(
    'g',
    { class: `mark ${kind}`, role: 'img', tabindex: isFirst ? '0' : '-1', 'aria-label': words, 'data-words': words },
    h('rect', { class: 'hit', x: String(x - 9), y: String(y - 2), width: '18', height: '20' }),
    h('path', { d: shape }),
    ...(group.length === 1
      ? []
      : [h('text', { class: 'mark-count', x: String(x + 8), y: String(y + 12) }, String(group.length))]),
  )
}

/** @returns {[from: number, to: number][]} indexes of neighbours for which that is so */
function runsOf(values, isSo) {
  const runs = []
  let from
  for (let index = 0; index <= values.length; index++) {
    const is = index < values.length && isSo(values[index])
    if (is) from ??= index
    else if (from !== undefined) {
      runs.push([from, index])
      from = undefined
    }
  }
  return runs
}
