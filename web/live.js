import { call } from './api.js'
import { toDom } from './dom.js'
import { readEvents } from './events.js'
import { formatMoment, formatMoney, formatNumber } from './format.js'
import { h, text } from './tree.js'

const ROWS = 8
/** After the database could not be read. */
const READ_AGAIN_MS = 3_000
/** Most answers take a few ms: a notice that only flashes would be noise. */
const LOADING_MS = 500
/** The server may say otherwise. */
const RETRY_MS = 2_000
const RETRY_MAX_MS = 30_000

const section = document.querySelector('#latest')
const list = document.querySelector('#latest-list')
const state = document.querySelector('#latest-state')
const pause = document.querySelector('#latest-pause')

/** Newest first: what is listed now, or will be once the list may move again. */
let orders = []
let stored = 0
let storedWhenStopped = 0
let connection
let retryMs = RETRY_MS
/** Why it is not known what is stored; nothing when it is. */
let unknown

/** Nothing moves while somebody points at the list or tabs through it, or has stopped it. */
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

/** Connects first and then reads what is there, so that nothing falls between the two. */
async function watch() {
  connection?.abort()
  if (document.hidden) return
  const mine = new AbortController()
  connection = mine
  try {
    const response = await call('/orders/live', { signal: mine.signal }, watch)
    if (response.status === 401) return tell('The latest orders are shown to those who have a key.')
    if (!response.ok) throw new Error(`status ${response.status}`)
    retryMs = RETRY_MS
    const before = orders
    orders = []
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

/** On top what the stream has told meanwhile, then what is stored by now, then what was listed before a break. */
async function readLatest(before, signal) {
  const waiting = setTimeout(() => {
    unknown = 'Reading the latest orders …'
    draw()
  }, LOADING_MS)
  for (let listed = before; ; listed = []) {
    const latest = await latestOrders(signal)
    if (signal.aborted) return
    clearTimeout(waiting)
    for (const order of [...(latest ?? []), ...listed]) if (!isListed(order)) orders.push(order)
    orders = orders.slice(0, ROWS)
    unknown =
      latest === undefined
        ? 'The database cannot be read just now: older orders are listed once it answers.'
        : undefined
    draw()
    if (latest !== undefined) return
    await new Promise(resolve => setTimeout(resolve, READ_AGAIN_MS))
  }
}

/** @returns nothing when it is not known which they are */
async function latestOrders(signal) {
  const response = await call(`/orders?limit=${ROWS}`, { signal }, watch)
  return response.ok ? (await response.json()).orders.map(summaryOf) : undefined
}

function summaryOf({ order_uid, date_created, payment, items }) {
  return { order_uid, date_created, amount: payment.amount, currency: payment.currency, items: items.length }
}

function isListed({ order_uid }) {
  return orders.some(order => order.order_uid === order_uid)
}

function take(name, data) {
  if (name === 'more') stored += data.orders
  if (name === 'order') {
    stored += 1
    orders = [{ ...data, fresh: true }, ...orders.filter(order => order.order_uid !== data.order_uid)].slice(0, ROWS)
  }
  draw()
}

function draw() {
  pause.hidden = orders.length === 0
  if (paused) return tell(`Stopped. ${formatNumber(stored - storedWhenStopped)} stored meanwhile.`)
  if (held.size > 0) return
  list.replaceChildren(...orders.map(order => toDom(rowOf(order))))
  orders = orders.map(order => ({ ...order, fresh: false }))
  if (unknown !== undefined) return tell(unknown)
  if (orders.length === 0) return tell('There are no orders yet. Add one below, or start the generator: make producer')
  tell(
    stored === 0 ? 'New ones appear here as they are stored.' : `${formatNumber(stored)} stored since you came here.`,
  )
}

function rowOf({ order_uid, date_created, amount, currency, items, fresh }) {
  return h(
    'li',
    fresh ? { class: 'fresh' } : {},
    h('a', { href: `/?uid=${encodeURIComponent(order_uid)}`, 'data-uid': order_uid, class: 'sample' }, order_uid),
    h('span', { class: 'latest-items' }, items === 1 ? '1 item' : `${formatNumber(items)} items`),
    h('span', { class: 'latest-amount' }, text(formatMoney(amount, currency))),
    h('span', { class: 'latest-time' }, formatMoment(date_created, date_created)),
  )
}

function tell(words) {
  section.hidden = false
  state.textContent = words
}
