import { toDom } from '../dom.js'
import { h } from '../tree.js'
import { SPANS, USUAL_SPAN } from './address.js'
import { button, put, redraw } from './parts.js'
import { filterOfSpan, spanOf, stepsAround, stillOn, sumUp, sumWords, whenWords } from './past.js'
import { ask } from './requests.js'
import { dashboardLink } from './runbooks.js'
import { chartOf } from './timeline-chart.js'
import { figuresTable, happenedTable } from './timeline-tables.js'
import { duration } from './words.js'

/** How old what is shown may be, in ms: a step of the shorter spans takes ten seconds. */
const FRESH_MS = { '15m': 10_000, '1h': 10_000, '24h': 60_000, '7d': 300_000 }
/** A press that moved less is a click. */
const DRAG_PX = 5
const HINT = 'Point at the chart to read it. Drag to choose a span.'

/**
 * What happened to the stream: one axis of time for rate, lag, dead letters, what stood still, deploys and actions.
 * @param {any} app
 * @param {{ span?: string }} place
 */
export function timelineView(app, { span: asked }) {
  const name = asked ?? USUAL_SPAN
  const svg = toDom(h('svg', { class: 'timeline', role: 'group', 'aria-label': 'What happened, over time' }))
  const frame = toDom(h('div', {}, svg))
  const readout = toDom(h('p', { class: 'readout' }, HINT))
  const [fromSlider, toSlider] = ['From', 'To'].map(slider)
  const chosen = toDom(h('div', { class: 'chosen' }))
  const happened = toDom(h('div', {}))
  const figures = toDom(h('div', {}))
  const node = toDom(
    h(
      'section',
      { 'aria-labelledby': 'timeline-title', class: 'timeline-view' },
      h(
        'div',
        { class: 'inbox-head' },
        h('h2', { id: 'timeline-title' }, 'Timeline'),
        h('nav', { class: 'switch', 'aria-label': 'Span' }, ...SPANS.map(spanLink)),
      ),
      h(
        'div',
        { class: 'card' },
        readout,
        frame,
        h('div', { class: 'sliders' }, fromSlider.node, toSlider.node),
        chosen,
      ),
      h('h3', {}, 'What happened'),
      happened,
      h('details', {}, h('summary', {}, 'The figures as a table'), figures),
    ),
  )
  let past
  let chart
  /** @type {import('./past.js').Span | undefined} what is chosen; undefined: all of it */
  let selection
  let drag
  let loadedMs = Number.NEGATIVE_INFINITY

  /** @param {typeof SPANS[number]} choice */
  function spanLink([span, words]) {
    return app.link({ view: 'timeline', span }, { 'aria-current': span === name ? 'true' : undefined }, words)
  }

  async function load(signal) {
    loadedMs = performance.now()
    past = await ask('/admin/timeline', { query: { span: name }, signal })
    selection = selection && stillOn(past, selection)
    draw()
  }

  function draw() {
    if (past === undefined || drag !== undefined) return
    const width = Math.max(240, frame.clientWidth)
    chart = chartOf(past, width)
    const held = heldMark()?.dataset.words
    svg.setAttribute('viewBox', `0 0 ${width} ${chart.height}`)
    svg.setAttribute('width', String(width))
    svg.setAttribute('height', String(chart.height))
    const cross = h('line', { class: 'cross', y1: '0', y2: String(chart.height) })
    svg.replaceChildren(...toDom(h('svg', {}, shade(), ...chart.lanes, cross)).children)
    const marks = marksOf()
    const again = held === undefined ? undefined : marks.find(mark => mark.dataset.words === held)
    if (again !== undefined) focusMark(again)
    drawChosen()
    redraw(happened, () => put(happened, ...happenedTable(past, stop => choose(stepsAround(past, stop)))))
    put(figures, figuresTable(past))
  }

  function shade() {
    const { fromMs, toMs } = selection ?? { fromMs: 0, toMs: 0 }
    const [x, end] = selection === undefined ? [0, 0] : [chart.toX(fromMs), chart.toX(toMs)]
    return h('rect', { class: 'selection', x: String(x), y: '0', width: String(end - x), height: String(chart.height) })
  }

  /** The chosen span in the chart, at the sliders, and in words with what can be done about it. */
  function drawChosen() {
    const whole = spanOf(past)
    const { fromMs, toMs } = selection ?? whole
    svg.querySelector('.selection')?.replaceWith(...toDom(h('svg', {}, shade())).children)
    const steps = past.rate.length
    const stepMs = past.step_seconds * 1_000
    fromSlider.set(steps, Math.round((fromMs - whole.fromMs) / stepMs), whenWords(past, fromMs))
    toSlider.set(steps, Math.round((toMs - whole.fromMs) / stepMs), whenWords(past, toMs))
    const words = `${whenWords(past, fromMs)} to ${whenWords(past, toMs)} UTC (${duration((toMs - fromMs) / 1_000)}): ${sumWords(sumUp(past, { fromMs, toMs }))}.`
    if (chosen.firstChild?.textContent === words) return
    redraw(chosen, () =>
      put(
        chosen,
        h('p', {}, words),
        h(
          'p',
          { class: 'actions' },
          app.link({ view: 'list', q: filterOfSpan({ fromMs, toMs }) }, {}, 'Dead letters of this span'),
          dashboardLink({ fromMs, toMs }),
          selection === undefined ? undefined : button('Choose all', () => choose(undefined)),
        ),
      ),
    )
    return words
  }

  /** @param {import('./past.js').Span | undefined} next */
  function choose(next) {
    selection = next
    const words = drawChosen()
    if (words !== undefined) app.say(words)
  }

  function slider(words, index) {
    const input = toDom(h('input', { type: 'range', min: '0', step: '1', input: move }))
    function move() {
      const from = Number(fromSlider.input.value)
      const to = Number(toSlider.input.value)
      // The end that is moved pushes the other before it, so that a step is chosen at least.
      if (from >= to && index === 0) return slideTo(from, Math.min(from + 1, Number(input.max)))
      if (from >= to) return slideTo(Math.max(0, to - 1), to)
      slideTo(from, to)
    }
    return {
      input,
      node: h('label', {}, words, input),
      set(max, value, said) {
        input.max = String(max)
        input.value = String(value)
        input.setAttribute('aria-valuetext', said)
      },
    }
  }

  function slideTo(from, to) {
    const { fromMs } = spanOf(past)
    const stepMs = past.step_seconds * 1_000
    const isAll = from <= 0 && to >= past.rate.length
    choose(isAll ? undefined : { fromMs: fromMs + Math.min(from, to - 1) * stepMs, toMs: fromMs + to * stepMs })
  }

  /** @returns {any} the mark that has the focus */
  const heldMark = () => (svg.contains(document.activeElement) ? document.activeElement : undefined)
  const marksOf = () => /** @type {any[]} */ ([...svg.querySelectorAll('.mark')])

  function focusMark(mark) {
    for (const other of marksOf()) other.setAttribute('tabindex', other === mark ? '0' : '-1')
    mark.focus({ preventScroll: true })
  }

  function readAt(event) {
    if (past === undefined) return
    const words = event.target.closest('[data-words]')?.dataset.words
    const x = xOf(event)
    const stepMs = past.step_seconds * 1_000
    const { fromMs } = spanOf(past)
    const begin = fromMs + Math.floor((chart.toMs(x) - fromMs) / stepMs) * stepMs
    readout.textContent =
      words ?? `${whenWords(past, begin)} UTC: ${sumWords(sumUp(past, { fromMs: begin, toMs: begin + stepMs }))}`
    const cross = svg.querySelector('.cross')
    for (const end of ['x1', 'x2']) cross.setAttribute(end, String(x))
  }

  const xOf = event => event.clientX - svg.getBoundingClientRect().left

  svg.addEventListener('pointerdown', event => {
    if (past === undefined || event.button !== 0) return
    drag = { x: xOf(event), before: selection }
    svg.setPointerCapture(event.pointerId)
  })
  svg.addEventListener('pointermove', event => {
    readAt(event)
    if (drag === undefined) return
    const x = xOf(event)
    if (Math.abs(x - drag.x) < DRAG_PX) return
    const [fromMs, toMs] = [drag.x, x].sort((a, b) => a - b).map(edge => chart.toMs(edge))
    selection = stepsAround(past, { fromMs, toMs })
    drawChosen()
  })
  svg.addEventListener('pointerup', event => {
    if (drag === undefined) return
    const isClick = Math.abs(xOf(event) - drag.x) < DRAG_PX
    drag = undefined
    choose(isClick ? undefined : selection)
  })
  svg.addEventListener('pointercancel', () => {
    selection = drag?.before
    drag = undefined
    drawChosen()
  })
  svg.addEventListener('pointerleave', () => {
    svg.classList.remove('read')
    readout.textContent = HINT
  })
  svg.addEventListener('pointerenter', () => svg.classList.add('read'))
  svg.addEventListener('focusin', event => {
    readout.textContent = event.target.dataset.words ?? HINT
  })
  svg.addEventListener('keydown', event => {
    const marks = marksOf()
    const at = marks.indexOf(heldMark())
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: marks.length - 1 }[event.key]
    if (at === -1 || to === undefined) return
    event.preventDefault()
    focusMark(marks[Math.min(Math.max(to, 0), marks.length - 1)])
  })

  // Drawing it changes its height, which is no reason to draw it again.
  const resizing = new ResizeObserver(() => frame.clientWidth !== Number(svg.getAttribute('width')) && draw())
  resizing.observe(frame)
  return {
    node,
    title: 'Timeline',
    load,
    onEvent(kind) {
      if (kind === 'stream' && drag === undefined && performance.now() - loadedMs > FRESH_MS[name]) app.reload()
    },
    dispose: () => resizing.disconnect(),
  }
}
