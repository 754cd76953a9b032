import { element, toDom } from '../dom.js'
import { h } from '../tree.js'
import { openDialog } from './dialog.js'

const KEYS = [
  ['/', 'to the filter'],
  ['j', 'to the next row, or the next dead letter'],
  ['k', 'to the one before'],
  ['x', 'select or unselect the row'],
  ['e', 'open the row; on a dead letter: back to the list'],
  ['r', 'redrive: the dead letter, the selected ones, or all that match'],
  ['?', 'this help'],
]
const GRAMMAR = [
  ['state:open', 'open, replaying, resolved, failed_again, parked, discarded'],
  ['reason:schema_violation,store_rejected', 'one of several'],
  ['error:required', 'the rule or SQLSTATE that failed'],
  ['pointer:/payment/*', 'the place in the value; * stands for anything'],
  ['key:abc*   id:orders-3-42', 'the key of the value, the dead letter'],
  ['topic:orders   partition:3', 'where the record stood'],
  ['age:>1h', 'since it failed: s, m, h, d, w; also <, >=, <='],
  ['after:2026-11-29T14:05:00Z   before:2h', 'when it failed: a time, a date, an age, today, yesterday (UTC)'],
  ['replays:>0   replay:r4k2m9x7aq', 'how often, and in which redrive'],
  ['text:"no route"', 'in message, error, pointer and key'],
  ['b563feb7   "no route"', 'without a field: an id, a key, or else text'],
  ['value:/payment/bank=alpha', 'in the values of open ones, read from the topic; also !=, or the place alone'],
  ['-reason:too_large', 'a “-” takes all the others'],
]

/** @param {any} app as main.js defines it: its view may define further keys (`r`, `j`, `k`, `e`) */
export function listenToKeys(app) {
  const own = {
    '/': () => {
      const box = element('#filter')
      if (box === null) return app.go({ view: 'groups' })
      box.focus()
      box.select()
    },
    j: () => move(1),
    k: () => move(-1),
    x: () => currentRow()?.querySelector('input[type="checkbox"]')?.click(),
    e: () => currentRow()?.querySelector('[data-main]')?.click(),
    '?': help,
  }
  document.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]') !== null) return
    const target = /** @type {HTMLElement} */ (event.target)
    if (target.matches('input:not([type="checkbox"]), textarea, select')) {
      if (event.key === 'Escape') target.blur()
      return
    }
    const act = app.shown?.keys?.[event.key] ?? own[event.key]
    if (act === undefined || app.shown === undefined) return
    event.preventDefault()
    act(currentRow())
  })
}

/** @returns {any[]} */
const rows = () => [...document.querySelectorAll('#view [data-row]')]

/** @returns {any} */
function currentRow() {
  return document.activeElement?.closest('[data-row]') ?? undefined
}

/** The cursor is the focus, so that Enter, screen readers and the display agree on its position. */
function move(by) {
  const all = rows()
  const at = all.indexOf(currentRow())
  const next = all[at === -1 ? (by > 0 ? 0 : all.length - 1) : at + by]
  const main = next?.querySelector('[data-main]')
  main?.focus()
  main?.scrollIntoView({ block: 'nearest' })
}

export function help() {
  const list = (entries, tag) =>
    toDom(
      h(
        'dl',
        { class: 'help' },
        ...entries.flatMap(([name, words]) => [h('dt', {}, h(tag, {}, name)), h('dd', {}, words)]),
      ),
    )
  openDialog({
    title: 'Keys and filters',
    body: [
      list(KEYS, 'kbd'),
      toDom(h('h3', {}, 'Filters')),
      list(GRAMMAR, 'code'),
      toDom(
        h(
          'p',
          { class: 'hint' },
          'Terms are joined by “and”. Values with blanks stand in quotes. The command line and the API read the same.',
        ),
      ),
    ],
  })
}
