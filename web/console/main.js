import { askForKey, forgetKey, hasKey } from '../api.js'
import { opensElsewhere, toDom } from '../dom.js'
import { h } from '../tree.js'
import { addressOf, placeOfAddress } from './address.js'
import { auditView } from './audit.js'
import { connect } from './connection.js'
import { createGlance } from './glance.js'
import { groupsView } from './groups.js'
import { agoOf } from './health.js'
import { listenToKeys } from './keys.js'
import { later } from './later.js'
import { letterView } from './letter.js'
import { listView } from './list.js'
import { cliLine, keepAges, notice, put, useCommand } from './parts.js'
import { createRedriveBar } from './redrive-bar.js'
import { redrivesView, redriveView } from './redrives.js'
import { ask, onKey, useStream } from './requests.js'
import { chosenStream, streamSwitch, unknownStream } from './streams.js'
import { duration } from './words.js'

const VIEWS = {
  groups: groupsView,
  list: listView,
  letter: letterView,
  replays: redrivesView,
  replay: redriveView,
  timeline: later(async () => (await import('./timeline.js')).timelineView, 'Timeline'),
  audit: auditView,
}
const TABS = [
  ['groups', 'Dead letters', ['groups', 'list', 'letter']],
  ['replays', 'Redrives', ['replays', 'replay']],
  ['timeline', 'Timeline', ['timeline']],
  ['audit', 'Audit log', ['audit']],
]
/** Most answers take a few ms: a notice that only flashes would be noise. */
const LOADING_MS = 250
const RETRY_SECONDS = 5
/** A connection without data for this long is closed: the service sends its state every two seconds. */
const UNHEARD_SECONDS = 15

/** @param {string} id that the page has */
function elementWith(id) {
  const element = document.getElementById(id)
  if (element === null) throw new Error(`the page has no element ${id}`)
  return element
}

const [content, overview, tabs, main, said, notices, strip, bar, forget] = [
  'content',
  'glance',
  'tabs',
  'view',
  'said',
  'notices',
  'connection',
  'redrive-bar',
  'forget',
].map(id => elementWith(id))

const cli = cliLine()
content.append(cli.node)

/** The current view and its load; a newer load aborts it, so that answers cannot overtake one another. */
let view
let loading = new AbortController()
let retry

/** The stream whose console this is; nothing while the process has only one. */
let stream

/** The functions of the page that views may call. */
const app = {
  /** @param {import('./address.js').Place} place */
  go(place) {
    const address = addressOf({ ...place, stream })
    if (address !== location.pathname + location.search) history.pushState(null, '', address)
    open()
    if (view.node.contains(document.activeElement)) return
    // The clicked element has been removed, so the focus moves to the top of the new view.
    main.focus({ preventScroll: true })
    scrollTo(0, 0)
  },
  link(place, attributes, ...children) {
    const click = event => {
      if (opensElsewhere(event)) return
      event.preventDefault()
      app.go(place)
    }
    return h('a', { href: addressOf({ ...place, stream }), click, ...attributes }, ...children)
  },
  /** Announces a change to screen readers. */
  say(words) {
    said.textContent = words
  },
  /** Shows the last action with its undo button, until the notice is closed. */
  tell(words, ...actions) {
    const box = toDom(h('div', { class: 'done' }, h('p', {}, words), ...actions))
    box.append(
      toDom(h('button', { type: 'button', class: 'quiet', 'aria-label': 'Dismiss', click: () => box.remove() }, '×')),
    )
    notices.replaceChildren(box)
    return box
  },
  reload: () => void load(),
  /** Part of the requested data is on the page. */
  showsSome() {
    trouble()
    view.node.dataset.loaded = 'true'
  },
  showCli,
  get shown() {
    return view
  },
  get stream() {
    return stream
  },
}

/** The server sends the counts of each state on connecting; they are a change only when they differ from the counts before. */
let counted
function isNews(counts) {
  const before = counted
  counted = JSON.stringify(counts)
  return before !== undefined && before !== counted
}

const glance = createGlance(overview, app)
const redrives = createRedriveBar(bar, app)
const connection = connect(
  (name, data) => {
    if (name === 'stream') {
      glance.take(data)
      drawStrip()
    }
    if (name === 'replay') redrives.take(data)
    if (name !== 'dead_letters' || isNews(data)) view?.onEvent?.(name, data)
  },
  (state, seconds) => {
    // After a restart with other keys, the event connection of an open tab is the first request to be rejected.
    if (state === 'refused') return stopAsking()
    // Loads the changes that were missed while disconnected.
    if (state === 'on' && strip.dataset.was === 'off') app.reload()
    strip.dataset.was = state
    retrySeconds = seconds
    drawStrip()
  },
)

/** Shows the age of the data below while no update arrives, and loads it again once updates resume. */
let retrySeconds
let wasSilent = false
function drawStrip() {
  const silent = glance.silentSeconds()
  const unheard = agoOf(glance.heardSeconds())
  const isOff = strip.dataset.was === 'off'
  const words = isOff
    ? `Not connected just now: what you see was sent ${unheard ?? 'just now'}. Trying again in ${retrySeconds} s.`
    : unheard !== undefined
      ? `The service sends nothing: what you see was sent ${unheard}.`
      : `Postgres has not answered for ${duration(silent)}: what is listed below is at least that old, and is read again once it does.`
  strip.hidden = !isOff && unheard === undefined && silent === 0
  // Announced to screen readers once, and not each second.
  const isSaid = strip.dataset.said === 'true'
  if (!strip.hidden && !isSaid) app.say(words)
  if (strip.hidden && isSaid) app.say('What you see is of now again.')
  strip.dataset.said = String(!strip.hidden)
  if (!strip.hidden && strip.textContent !== words) strip.textContent = words
  if (wasSilent && silent === 0) app.reload()
  wasSilent = silent > 0
}

setInterval(() => {
  if (content.hidden || document.hidden || strip.dataset.was === undefined) return
  drawStrip()
  if (strip.dataset.was === 'on' && glance.heardSeconds() > UNHEARD_SECONDS) connection.start()
}, 1_000)

/** Sends one request first, so that a wrong key is reported once, and reaches the server only once. */
async function start() {
  try {
    const overview = await ask('/admin/stream')
    glance.take(overview)
    const { oldest_age_seconds: _, ...counts } = overview.dead_letters ?? {}
    isNews(counts)
  } catch (failure) {
    // The field for the key is shown and states the reason.
    if (failure.status === 401 || failure.status === 403) return
    if (failure.title === undefined) throw failure
  }
  forget.hidden = false
  content.hidden = false
  connection.start()
  void redrives.load()
  open()
}

function stop(words) {
  connection.stop()
  loading.abort()
  clearTimeout(retry)
  content.hidden = true
  forget.hidden = true
  main.replaceChildren()
  view?.dispose?.()
  view = undefined
  askForKey(false, start, words)
}

/** Shows the view that the address names. */
function open() {
  const place = placeOfAddress(location.search)
  view?.dispose?.()
  view = VIEWS[place.view](app, place)
  document.title = stream === undefined ? `${view.title} · Holdfast` : `${view.title} · ${stream} · Holdfast`
  // A single dead letter gets the space; of the overview only the sentence about the stream stays.
  redrives.leaveOut(place.view === 'replay' ? place.id : undefined)
  overview.dataset.compact = String(place.id !== undefined)
  put(
    tabs,
    ...TABS.map(([name, words, views]) =>
      app.link({ view: name }, { 'aria-current': views.includes(place.view) ? 'page' : undefined }, words),
    ),
  )
  main.replaceChildren(view.node)
  showCli()
  void load()
}

/** Loads the data of the view. The previous data stays on the page until an answer arrives, and when the request fails. */
async function load() {
  const mine = view
  loading.abort()
  loading = new AbortController()
  clearTimeout(retry)
  const { signal } = loading
  const waiting = setTimeout(() => {
    if (main.querySelector('[data-loaded]') === null) trouble(h('p', { class: 'hint loading' }, 'Loading …'))
  }, LOADING_MS)
  try {
    await mine.load(signal)
    if (signal.aborted) return
    clearTimeout(waiting)
    trouble()
    mine.node.dataset.loaded = 'true'
    showCli()
  } catch (failure) {
    clearTimeout(waiting)
    if (signal.aborted) return
    if (failure.title === undefined) throw failure
    explain(failure)
  } finally {
    clearTimeout(waiting)
  }
}

function explain(failure) {
  if (failure.status === 401 || failure.status === 403) return stopAsking()
  const again = toDom(h('button', { type: 'button', class: 'quiet', click: () => void load() }, 'Try again'))
  const comes = failure.passes
    ? h('p', { class: 'hint' }, `This page tries again every ${RETRY_SECONDS} s.`)
    : undefined
  // The previous data stays on the page, and the strip shows its age.
  const isSaid = failure.code === 'store_unavailable' && view.node.dataset.loaded === 'true' && !strip.hidden
  if (isSaid) trouble()
  else {
    trouble(notice(failure.title, failure.message, ...(comes === undefined ? [] : [comes]), again))
    app.say(`${failure.title}. ${failure.message}`)
  }
  if (failure.passes) retry = setTimeout(() => void load(), RETRY_SECONDS * 1000)
}

/** The field for the key is shown and states the reason; data that was loaded with the previous key is removed. */
function stopAsking() {
  connection.stop()
  loading.abort()
  clearTimeout(retry)
  delete strip.dataset.was
  content.hidden = true
  forget.hidden = true
}

function trouble(...content) {
  main.querySelector('.view-trouble')?.remove()
  if (content.length > 0) main.prepend(toDom(h('div', { class: 'view-trouble' }, ...content)))
}

function showCli() {
  cli.say(view.cli?.())
}

forget.addEventListener('click', () => {
  forgetKey()
  stop('The key is forgotten. Give one to go on.')
})
addEventListener('popstate', () => !content.hidden && open())
listenToKeys(app)
keepAges()
onKey(start)
void begin()

/** Determines the stream first, because all later requests name it. */
async function begin() {
  const choice = await chosenStream()
  const links = streamSwitch(choice)
  if (links !== undefined) content.before(links)
  if (!choice.isKnown) return content.before(unknownStream(choice))
  stream = choice.current
  useStream(stream)
  useCommand(choice.command, stream)
  // The address names the stream, so that it can be bookmarked and shared.
  if (stream !== undefined) history.replaceState(null, '', addressOf({ ...placeOfAddress(location.search), stream }))
  if (hasKey()) void start()
  else stop()
}
