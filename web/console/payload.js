import { toDom } from '../dom.js'
import { formatNumber } from '../format.js'
import { h, text } from '../tree.js'
import { bytesOf, hexDump } from './hex.js'
import { jsonLines, placeOf } from './json-lines.js'
import { button, bytes, put } from './parts.js'

/** A value of 10,000 items has more lines than a page should: lines far from any violation are folded. */
const UNFOLDED = 400
const AROUND = 4
/** A single text longer than this is cut in the pretty view; the raw one has it whole. */
const LONGEST_TOKEN = 400
const HEX_LIMIT = 16 * 1024

/**
 * The value in three ways: as JSON with the violating places marked beside the rule, as it stands, and as bytes.
 * @param {{ text?: string, hex?: string, bytes: number, masked?: boolean }} value
 * @param {{ pointer: string, keyword: string, message: string }[]} violations
 */
export function payloadView(value, violations) {
  const json = value.text === undefined ? undefined : jsonLines(value.text)
  /** @type {any[][]} */
  const ways = [
    ...(json !== undefined && json.stop === undefined ? [['pretty', 'JSON', () => prettyView(json, violations)]] : []),
    ...(json === undefined ? [] : [['raw', 'Raw', () => rawView(value.text, json.stop)]]),
    ['hex', 'Hex', () => hexView(value)],
  ]
  const body = toDom(h('div', {}))
  const tabs = toDom(
    h(
      'div',
      { class: 'switch', role: 'group', 'aria-label': 'Show the value as' },
      ...ways.map(([name, words]) => button(words, () => show(name), { 'data-way': name })),
    ),
  )
  function show(name) {
    for (const tab of tabs.children) tab.setAttribute('aria-pressed', String(tab.dataset.way === name))
    put(body, ways.find(([way]) => way === name)?.[2]())
  }
  show(ways[0][0])
  return { tabs, body }
}

/** Each line with its number; beside a violating one, the rule that it breaks. */
function prettyView({ lines, places }, violations) {
  const notes = new Map()
  for (const violation of violations) {
    const place = placeOf(places, violation.pointer)
    notes.set(place.line, [...(notes.get(place.line) ?? []), { ...violation, ...place }])
  }
  const list = toDom(h('ol', { class: 'code' }))
  const open = new Set()
  draw()
  return frame(list, 'The value as JSON')

  function draw() {
    const shown = []
    for (let at = 0; at < lines.length; ) {
      if (isShown(at)) shown.push(lineView(lines[at], at, notes.get(at) ?? []))
      else {
        const from = at
        while (at + 1 < lines.length && !isShown(at + 1)) at++
        shown.push(foldView(from, at))
      }
      at++
    }
    put(list, ...shown)
  }

  function isShown(line) {
    if (lines.length <= UNFOLDED || line < 40 || line >= lines.length - 4 || open.has(Math.floor(line / UNFOLDED)))
      return true
    for (let near = line - AROUND; near <= line + AROUND; near++) if (notes.has(near)) return true
    return false
  }

  function foldView(from, to) {
    const unfold = () => {
      open.add(Math.floor(from / UNFOLDED))
      open.add(Math.floor((from + UNFOLDED) / UNFOLDED))
      draw()
    }
    return h(
      'li',
      { class: 'fold' },
      button(`${formatNumber(to - from + 1)} lines without a violation: show more`, unfold),
    )
  }
}

function lineView({ depth, tokens }, at, notes) {
  const marked = new Set(notes.map(({ token }) => token))
  const indent = '  '.repeat(depth)
  const parts = tokens.map(({ kind, text }, index) => {
    const shown =
      text.length <= LONGEST_TOKEN
        ? [text]
        : [
            text.slice(0, LONGEST_TOKEN),
            h('span', { class: 'cut' }, `… ${formatNumber(text.length - LONGEST_TOKEN)} more characters`),
          ]
    return h(marked.has(index) ? 'mark' : 'span', kind === 'sign' ? {} : { class: `t-${kind}` }, ...shown)
  })
  const line = h('code', {}, indent, ...parts)
  const beside = notes.map(({ missing, keyword, message }) =>
    h(
      'span',
      { class: 'rule' },
      ...(missing === undefined ? [] : [h('code', {}, text(missing)), ' ']),
      text(message),
      ' ',
      h('code', { class: 'keyword' }, text(keyword)),
    ),
  )
  return h('li', { value: String(at + 1), class: notes.length === 0 ? undefined : 'violating' }, line, ...beside)
}

/** When the text is not valid JSON, marks the position of the first error. */
function rawView(value, stop) {
  if (stop === undefined) return frame(h('pre', {}, value), 'The value as it stands')
  const mark = value.slice(stop, stop + 1)
  const before = value.slice(0, stop)
  const line = before.split('\n').length
  const column = stop - before.lastIndexOf('\n')
  const where =
    stop >= value.length
      ? 'It is JSON up to its end, but not finished.'
      : `From line ${line}, column ${formatNumber(column)} on it is no JSON.`
  return h(
    'div',
    {},
    h('p', { class: 'rule alone' }, where),
    frame(
      h(
        'pre',
        {},
        before,
        h('mark', {}, mark === '' || mark === '\n' ? '⏎' : mark),
        value.slice(stop + (mark === '\n' ? 0 : 1)),
      ),
      'The value as it stands',
    ),
  )
}

function hexView(value) {
  const all = value.text === undefined ? bytesOf(value.hex) : new TextEncoder().encode(value.text)
  const cut = all.length > HEX_LIMIT
  const note = cut ? [h('p', { class: 'hint' }, `The first ${bytes(HEX_LIMIT)} of ${bytes(all.length)}.`)] : []
  return h('div', {}, frame(h('pre', { class: 'hex' }, hexDump(all, HEX_LIMIT)), 'The value as bytes'), ...note)
}

function frame(content, name) {
  return h('div', { class: 'payload', role: 'region', 'aria-label': name, tabindex: '0' }, content)
}
