import { call } from './api.js'
import { element, toDom } from './dom.js'
import { readEvents } from './events.js'
import { formatNumber } from './format.js'
import { addressOf, command, keyIn, stream } from './stream.js'
import { h, text } from './tree.js'

/** A view may say what the list shows of a value besides its key. */
/** @type {(summary: any) => any[]} */
let rowCells = () => []
/** @type {(value: any) => object} */
let summaryOf = () => ({})
/** And the time that it shows; without one, the list is in the order in which values were stored. */
/** @type {(summary: any) => number} */
let timeOf = () => 0
const view = import(stream.view).then(parts => {
  ;({ rowCells = rowCells, summaryOf = summaryOf, timeOf = timeOf } = parts)
})
const { key_field: KEY, values_field: MANY, value_name: ONE } = stream

const ROWS = 8
/** The wait before the next attempt after the database could not be read. */
const READ_AGAIN_MS = 3_000
/** Most answers take a few ms: a notice that only flashes would be noise. */
const LOADING_MS = 500
/** The default wait before reconnecting; the server may send another one. */
const RETRY_MS = 2_000
const RETRY_MAX_MS = 30_000

const NONE_YET =
  stream.list === null
    ? `New ${ONE}s appear here as they are stored.`
    : `There are no ${ONE}s yet. Add one below, or start the generator: ${command} produce --stream ${stream.name}`

const section = element('#latest')
const list = element('#latest-list')
const state = element('#latest-state')
const pause = element('#latest-pause')

/** Newest first: what is listed now, or will be once the list may move again. */
let values = []
let stored = 0
let storedWhenStopped = 0
let connection
let retryMs = RETRY_MS
/** Why it is not known what is stored; nothing when it is. */
let unknown

/** Nothing moves while the pointer or the focus is in the list, or while the list is stopped. */
const held = new Set()
let paused = false

pause.addEventListener('click', () => {
  paused = !paused
  storedWhenStopped = stored
  pause.setAttribute('aria-pressed', String(paused))
  draw()
})
for (const [by, begins, ends] of [
  ['pointer', 'pointerenter', 'pointerleave'],
  ['focus', 'focusin', 'focusout'],
]) {
  list.addEventListener(begins, () => held.add(by))
  list.addEventListener(ends, () => {
    held.delete(by)
    draw()
  })
}

// A hidden tab holds no connection: browsers allow a site six of them, over all its tabs.
document.addEventListener('visibilitychange', () => (document.hidden ? connection?.abort() : void watch()))
addEventListener('pagehide', () => connection?.abort())
void watch()

/** Connects first and then reads the stored values, so that no value is missed between the two. */
async function watch() {
  connection?.abort()
  if (document.hidden) return
  const mine = new AbortController()
  connection = mine
  try {
    await view
    const response = await call(stream.live_path, { signal: mine.signal }, watch)
    if (response.status === 401) return tell(`The latest ${ONE}s are shown to those who have a key.`)
    if (!response.ok) throw new Error(`status ${response.status}`)
    retryMs = RETRY_MS
    const before = values
    values = []
    await Promise.all([
      readEvents(response, take, ms => {
        retryMs = ms
      }),
      readLatest(before, mine.signal),
    ])
    throw new Error('the stream has ended')
  } catch {
    if (mine.signal.aborted) return
    tell('Not connected just now. The list goes on by itself when the service is back.')
    setTimeout(() => connection === mine && void watch(), retryMs)
    retryMs = Math.min(retryMs * 2, RETRY_MAX_MS)
  }
}

/** Merges the list: first the values that arrived as events meanwhile, then those stored by now, then those listed before the connection broke. */
async function readLatest(before, signal) {
  const waiting = setTimeout(() => {
    unknown = `Reading the latest ${ONE}s …`
    draw()
  }, LOADING_MS)
  for (let listed = before; ; listed = []) {
    const latest = await latestValues(signal)
    if (signal.aborted) return
    clearTimeout(waiting)
    for (const value of [...(latest ?? []), ...listed]) if (!isListed(value)) values.push(value)
    values = newest(values)
    unknown =
      latest === undefined
        ? `The database cannot be read just now: older ${ONE}s are listed once it answers.`
        : undefined
    draw()
    if (latest !== undefined) return
    await new Promise(resolve => setTimeout(resolve, READ_AGAIN_MS))
  }
}

/** @returns nothing when it is not known which they are */
async function latestValues(signal) {
  if (stream.list === null) return []
  const response = await call(`${stream.route}?limit=${ROWS}`, { signal }, watch)
  if (!response.ok) return undefined
  return (await response.json())[MANY].map(value => ({ [KEY]: keyIn(value), ...summaryOf(value) }))
}

/** The latest by the time that is shown; of the same time, the one that was stored last. */
function newest(listed) {
  return listed.toSorted((a, b) => timeOf(b) - timeOf(a)).slice(0, ROWS)
}

function isListed(value) {
  return values.some(listed => listed[KEY] === value[KEY])
}

function take(name, data) {
  if (name === 'more') stored += data[MANY]
  if (name === ONE) {
    stored += 1
    values = newest([{ ...data, fresh: true }, ...values.filter(value => value[KEY] !== data[KEY])])
  }
  draw()
}

function draw() {
  pause.hidden = values.length === 0
  if (paused) return tell(`Stopped. ${formatNumber(stored - storedWhenStopped)} stored meanwhile.`)
  if (held.size > 0) return
  list.replaceChildren(...values.map(value => toDom(rowOf(value))))
  values = values.map(value => ({ ...value, fresh: false }))
  if (unknown !== undefined) return tell(unknown)
  if (values.length === 0) return tell(NONE_YET)
  tell(
    stored === 0
      ? 'New ones appear here as they are stored.'
      : `${formatNumber(stored)} stored since this page was opened.`,
  )
}

function rowOf({ [KEY]: key, fresh, ...summary }) {
  const link = h('a', { href: addressOf(key), 'data-key': key, class: 'sample' }, text(key))
  return h('li', fresh ? { class: 'fresh' } : {}, link, ...rowCells(summary))
}

function tell(words) {
  section.hidden = false
  state.textContent = words
}
