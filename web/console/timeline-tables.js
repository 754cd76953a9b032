import { formatNumber } from '../format.js'
import { h, text } from '../tree.js'
import { button, table } from './parts.js'
import { happeningsOf, spanOf, sumUp, whenWords } from './past.js'
import { runbookLink, runbookOfStop } from './runbooks.js'
import { duration } from './words.js'

/** The past as tables: for screen readers, and for what a chart cannot say. */

const HAPPENED = 60
const FIGURES = 24

/**
 * What stood still, was deployed or done, the latest first.
 * @param {any} past as `GET /admin/timeline` returns it
 * @param {(part: { fromMs: number, toMs: number | undefined }) => void} choose its time
 */
export function happenedTable(past, choose) {
  const all = happeningsOf(past)
  if (all.length === 0)
    return [h('p', { class: 'soft' }, 'Nothing stood still, nothing was deployed, and no operator did anything.')]
  const rows = all.slice(0, HAPPENED).map(({ fromMs, toMs, words, more, stop }) => {
    const runbook = stop === undefined ? undefined : runbookOfStop(stop)
    const lasted = toMs === undefined ? 'goes on' : toMs > fromMs ? duration((toMs - fromMs) / 1_000) : ''
    const actions = [
      ...(runbook === undefined ? [] : [runbookLink(runbook, 'Runbook')]),
      ...(stop === undefined
        ? []
        : [button('Choose', () => choose({ fromMs, toMs }), { 'aria-label': `Choose the time of: ${words}` })]),
    ]
    return h(
      'tr',
      {},
      h('td', { 'data-label': 'When', class: 'nowrap' }, whenWords(past, fromMs), h('span', { class: 'sub' }, lasted)),
      h('td', { 'data-label': 'What' }, text(words), h('span', { class: 'sub' }, text(more))),
      h('td', { class: 'row-actions' }, h('div', { class: 'actions' }, ...actions)),
    )
  })
  const isAll = all.length === rows.length && past.complete
  const heads = [['When (UTC)'], ['What'], [h('span', { class: 'visually-hidden' }, 'Actions')]]
  return [
    table(heads, rows, { class: 'cards-on-phone' }),
    isAll ? undefined : h('p', { class: 'hint' }, 'Others are left out: choose a shorter span.'),
  ]
}

/** Figures of some steps together, the latest first. */
export function figuresTable(past) {
  const { fromMs, toMs } = spanOf(past)
  const rowMs = Math.ceil(past.rate.length / FIGURES) * past.step_seconds * 1_000
  const rows = Array.from({ length: Math.ceil((toMs - fromMs) / rowMs) }, (_, row) => {
    const begin = fromMs + row * rowMs
    const { rate, lagSeconds, lagRecords, letters, isKnown } = sumUp(past, { fromMs: begin, toMs: begin + rowMs })
    return h(
      'tr',
      {},
      h('td', { 'data-label': 'From', class: 'nowrap' }, whenWords(past, begin)),
      cell('Settled a second', rate?.toFixed(1)),
      cell('Most lag', lagSeconds === undefined ? undefined : duration(lagSeconds)),
      cell('Most records behind', lagRecords === undefined ? undefined : formatNumber(lagRecords)),
      cell('Dead letters', isKnown ? formatNumber(letters) : undefined),
    )
  })
  const heads = ['Settled a second', 'Most lag', 'Most records behind', 'Dead letters'].map(name => [name, 'number'])
  return table([['From (UTC)'], ...heads], rows.toReversed(), { class: 'cards-on-phone' })
}

function cell(label, known = '–') {
  return h('td', { 'data-label': label, class: 'number' }, known)
}
