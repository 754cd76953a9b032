import { toDom } from '../dom.js'
import { formatNumber } from '../format.js'
import { h, text } from '../tree.js'
import { shellQuoted } from './cli-line.js'
import { duration, named, redriveWords, STATES } from './words.js'

/** Small components that all views share. */

const MOMENT = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium', timeZone: 'UTC' })

export const absolute = value => `${MOMENT.format(new Date(value))} UTC`

/** How long ago, with the moment itself on hover; `keepAges` keeps it true. @param {string | null} value RFC 3339 */
export function age(value) {
  if (value == null) return h('span', { class: 'soft' }, '–')
  return h('time', { datetime: value, title: absolute(value), 'data-age': 'true' }, ago(value))
}

function ago(value) {
  // Fractions of a second are outdated before they can be read.
  return duration(Math.max(1, (Date.now() - Date.parse(value)) / 1000))
}

export function keepAges() {
  setInterval(() => {
    for (const time of /** @type {NodeListOf<HTMLTimeElement>} */ (document.querySelectorAll('time[data-age]'))) {
      const words = ago(time.dateTime)
      if (time.textContent !== words) time.textContent = words
    }
  }, 5_000)
}

export function moment(value) {
  return h('time', { datetime: value }, absolute(value))
}

/** A state has its own sign beside its colour and its name. */
export function badge(state, words = named(STATES, state)) {
  return h('span', { class: 'state', 'data-state': state }, words)
}

/** The state of a redrive: green only when all of it were resolved. */
export function redriveBadge(redrive) {
  const attributes = { class: 'state', 'data-state': redrive.state, 'data-verdict': redrive.verdict ?? undefined }
  return h('span', attributes, redriveWords(redrive))
}

export function button(words, click, attributes = {}) {
  return h('button', { type: 'button', class: 'quiet', click, ...attributes }, words)
}

/** Puts its text on the clipboard; where there is none (no secure origin) it selects the text instead. */
export function copyButton(words, textToCopy, source) {
  return button(words, async event => {
    const { currentTarget } = event
    try {
      await navigator.clipboard.writeText(textToCopy())
      currentTarget.textContent = 'Copied'
    } catch {
      if (source !== undefined) getSelection()?.selectAllChildren(source())
      currentTarget.textContent = source === undefined ? 'No clipboard here' : 'Selected: press Ctrl+C'
    }
    setTimeout(() => {
      currentTarget.textContent = words
    }, 2_000)
  })
}

export function facts(entries) {
  const rows = entries.filter(([, value]) => value !== undefined && value !== null && value !== '')
  return h('dl', { class: 'facts' }, ...rows.flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, shown(value))]))
}

function shown(value) {
  if (typeof value === 'number') return formatNumber(value)
  return typeof value === 'string' ? text(value) : value
}

export function card(title, ...content) {
  return h('section', { class: 'card', 'data-card': title }, h('h3', {}, title), ...content)
}

export function notice(title, words, ...more) {
  return h('div', { class: 'notice' }, h('h2', {}, title), ...(words === undefined ? [] : [h('p', {}, words)]), ...more)
}

let program = 'bin/holdfast'
let stream

/**
 * @param {string} command what lines for the shell begin with
 * @param {string | undefined} name the stream that they name; undefined: the only one
 */
export function useCommand(command, name) {
  program = command
  stream = name
}

/** A line for the shell, to be copied. */
export function cliLine() {
  const code = toDom(h('code', { tabindex: '0', role: 'region', 'aria-label': 'The same on the command line' }))
  const copy = copyButton(
    'Copy',
    () => code.textContent,
    () => code,
  )
  const node = toDom(h('div', { class: 'cli' }, h('span', { class: 'prompt', 'aria-hidden': 'true' }, '$'), code, copy))
  return {
    node,
    /** @param {string | undefined} words without the program's name; undefined: there is no such command */
    say(words) {
      node.hidden = words === undefined
      const flag = stream === undefined ? '' : ` --stream ${shellQuoted(stream)}`
      code.textContent = words === undefined ? '' : `${program} ${words}${flag}`
    },
  }
}

/** Describes the place of a violation in words, with items counted from one. Escapes: RFC 6901. */
export function pointerWords(pointer) {
  if (pointer === '') return 'the whole value'
  const names = pointer
    .slice(1)
    .split('/')
    .map(part => part.replaceAll('~1', '/').replaceAll('~0', '~'))
  return names.map(name => (/^\d+$/.test(name) ? `no. ${Number(name) + 1}` : name)).join(' › ')
}

export function table(columns, rows, attributes = {}) {
  const head = columns.map(([name, kind, more = {}]) => h('th', { scope: 'col', class: kind, ...more }, name))
  return h('table', attributes, h('thead', {}, h('tr', {}, ...head)), h('tbody', {}, ...rows))
}

const FOCUSABLE = 'a, button, input'

/**
 * Replaces the children of an element and keeps the focus: in the same row, if it is in one, on the same
 * part. An update must neither move the focus nor remove a button while it is pressed, so it waits for the release.
 */
export function redraw(place, make) {
  if (place.querySelector(':active') !== null) {
    const release = new AbortController()
    const released = () => {
      release.abort()
      // The click event follows the release, so the update waits until after it.
      setTimeout(() => redraw(place, make))
    }
    // The space bar also presses buttons.
    for (const end of ['pointerup', 'pointercancel', 'keyup'])
      document.addEventListener(end, released, { signal: release.signal })
    return
  }
  const active = document.activeElement
  const held = active !== null && place.contains(active) ? active : undefined
  const row = /** @type {HTMLElement | null | undefined} */ (held?.closest('[data-row]'))?.dataset.row
  const parts = () => [
    ...((row === undefined ? place : place.querySelector(`[data-row="${CSS.escape(row)}"]`))?.querySelectorAll(
      FOCUSABLE,
    ) ?? []),
  ]
  const at = held === undefined ? -1 : parts().indexOf(held)
  make()
  if (at >= 0) parts()[at]?.focus({ preventScroll: true })
}

export function put(place, ...content) {
  place.replaceChildren(...content.filter(part => part !== undefined).map(part => toDom(part)))
}

export function bytes(count) {
  if (count < 1024) return `${formatNumber(count)} ${count === 1 ? 'byte' : 'bytes'}`
  if (count < 1024 * 1024) return `${(count / 1024).toFixed(1)} KiB`
  return `${(count / 1024 / 1024).toFixed(1)} MiB`
}
