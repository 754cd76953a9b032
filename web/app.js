import { call } from './api.js'
import { opensElsewhere, toDom } from './dom.js'
import { orderView } from './order-view.js'
import { h } from './tree.js'
import './live.js'
import './upload.js'

/** The same rule as the server's, so that a slip of the mouse is told at once. */
const UID = /^[A-Za-z0-9_-]{1,64}$/

const form = document.querySelector('#search')
const box = document.querySelector('#uid')
const result = document.querySelector('#result')
const status = document.querySelector('#status')

/** Longer than any answer takes while all goes well. */
const SLOW_MS = 3_000

/** The lookup under way; a newer one calls it off, so that answers cannot overtake one another. */
let current = new AbortController()

form.addEventListener('submit', event => {
  event.preventDefault()
  void search(box.value)
})

// The sample, the latest orders, the order that was just added: all of them are found as if they had been typed.
document.addEventListener('click', event => {
  const link = event.target.closest('a[data-uid]')
  if (link === null || opensElsewhere(event)) return
  event.preventDefault()
  void search(link.dataset.uid)
})

document.addEventListener('keydown', event => {
  if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return
  event.preventDefault()
  box.focus()
  box.select()
})

/** There a “/” is a letter like any other. */
function isTyping(target) {
  return target.matches('input:not([type="file"]), textarea')
}

addEventListener('popstate', showAddress)
box.focus()
void showAddress()

/** Looks up what the address says: a link to an order can be kept and sent. */
function showAddress() {
  const uid = cleaned(new URLSearchParams(location.search).get('uid') ?? '')
  box.value = uid
  if (uid !== '') return lookUp(uid)
  current.abort()
  document.title = 'Orders · Holdfast'
  show('')
}

function search(text) {
  const uid = cleaned(text)
  box.value = uid
  box.focus()
  if (uid === '')
    return show('Type or paste the uid of an order first.', notice('Type or paste the uid of an order first.'))
  const address = `/?uid=${encodeURIComponent(uid)}`
  if (address !== location.pathname + location.search) history.pushState(null, '', address)
  return lookUp(uid)
}

/** Uids are pasted out of logs and JSON: with spaces, line ends, quotes or a comma around them. */
function cleaned(text) {
  return text.replace(/[\s"'`,]+/g, '')
}

async function lookUp(uid) {
  current.abort()
  current = new AbortController()
  const { signal } = current
  document.title = `${uid} · Holdfast`
  if (!UID.test(uid)) {
    return fail('This is not an order uid', 'An order uid has 1 to 64 characters: letters, digits, “_” and “-”.')
  }
  // Most answers take a few ms: a notice that only flashes would be noise.
  const waiting = [
    setTimeout(() => show('Looking…', notice('Looking…')), 200),
    setTimeout(() => {
      const words = 'Still looking: the database has not answered yet.'
      show(words, notice(words))
    }, SLOW_MS),
  ]
  const startedMs = performance.now()
  try {
    const init = { signal, headers: { Accept: 'application/json' } }
    const response = await call(`/order/${uid}`, init, () => search(uid))
    const body = await response.json()
    const elapsedMs = performance.now() - startedMs
    if (response.ok) found(body, sourceOf(response), elapsedMs)
    else explain(response.status, body, uid)
  } catch {
    if (!signal.aborted) {
      fail('The service did not answer', 'It may be stopped, or the connection is down.', () => search(uid))
    }
  } finally {
    for (const timer of waiting) clearTimeout(timer)
  }
}

function found(order, source, elapsedMs) {
  const view = toDom(orderView(order, { source, elapsedMs }))
  view.querySelector('.actions').prepend(copyButton(view.querySelector('#json')))
  show(`Order ${order.order_uid} found, from ${source === 'memory' ? 'memory' : 'the database'}.`, view)
}

function copyButton(json) {
  const button = toDom(h('button', { type: 'button', class: 'quiet', id: 'copy' }, 'Copy JSON'))
  button.addEventListener('click', async () => {
    button.textContent = (await copied(json)) ? 'Copied' : 'Selected: press Ctrl+C'
  })
  return button
}

/** The clipboard is only there on a secure origin; elsewhere the text is selected, one key press from being copied. */
async function copied(json) {
  try {
    await navigator.clipboard.writeText(json.textContent)
    return true
  } catch {
    getSelection()?.selectAllChildren(json)
    return false
  }
}

/** Cache-Status (RFC 9211) says whether the database was asked. */
function sourceOf(response) {
  return /^holdfast;\s*hit\b/.test(response.headers.get('Cache-Status') ?? '') ? 'memory' : 'database'
}

function explain(code, problem, uid) {
  const again = () => search(uid)
  if (problem.code === 'busy' || code === 421 || code === 429) {
    return fail('The service did not take this request', problem.detail, again)
  }
  switch (code) {
    case 404:
      fail(
        'No order has this uid',
        'It may be on its way still, or it was set aside as a dead letter. Check that the uid is complete.',
        again,
      )
      return hintAtDeadLetter(problem)
    case 401:
      return fail('A key is needed to read orders', 'Type it into the field at the top; the order is then looked up.')
    case 403:
      return fail('This key may not read orders', problem.detail)
    case 503:
      return fail(
        'The database cannot be reached just now',
        'Orders in memory can still be read; this one is not among them, and whether it is stored is not known.',
        again,
      )
    case 400:
      return fail('This is not an order uid', 'An order uid has 1 to 64 characters: letters, digits, “_” and “-”.')
    default:
      return fail(
        'Something went wrong on the server',
        `Its log has the cause under the trace id ${problem.trace_id}.`,
        again,
      )
  }
}

/** Whoever may look at dead letters is told by the API which one this order is, and why. */
function hintAtDeadLetter({ dead_letter: letter }) {
  if (letter === undefined) return
  const where = letter.pointer === '' ? '' : ` at ${letter.pointer}`
  const link = h('a', { href: `/admin?letter=${encodeURIComponent(letter.id)}` }, letter.id)
  const why = `: ${letter.reason} (${letter.error}${where}).`
  result.firstElementChild.append(
    toDom(h('p', { class: 'dead-letter' }, 'It was set aside as the dead letter ', link, why)),
  )
}

function fail(title, text, again) {
  const box = toDom(h('div', { class: 'notice' }, h('h2', {}, title), h('p', {}, text)))
  if (again !== undefined) {
    const button = toDom(h('button', { type: 'button', class: 'quiet' }, 'Try again'))
    button.addEventListener('click', again)
    box.append(button)
  }
  show(`${title}. ${text}`, box)
}

function notice(text) {
  return toDom(h('div', { class: 'notice' }, h('p', {}, text)))
}

/** One place to change what is seen and what is said aloud. */
function show(said, ...content) {
  status.textContent = said
  result.replaceChildren(...content)
}
