import { call } from './api.js'
import { element, opensElsewhere, toDom } from './dom.js'
import { asksForList, fillForm, onListSearch, readList } from './find-by.js'
import { storyCard } from './story.js'
import { addressOf, aValue, capitalised, isNamed, keyOfAddress, pathOf, stream } from './stream.js'
import { h } from './tree.js'
import './live.js'
import './upload.js'

/** Not awaited here, because the page must accept input before the module is loaded. */
const view = import(stream.view)
const { value_name: one, key_name: keyWord } = stream

const form = element('#search')
const box = element('#uid')
const result = element('#result')
const status = element('#status')

/** Longer than any address a server accepts: such a text was pasted by mistake. */
const MAX_KEY = 4_000
const NO_KEY = `This is not ${aValue} ${keyWord}`

/** Longer than any answer takes under normal conditions. */
const SLOW_MS = 3_000

/** The lookup under way; a newer one aborts it, so that answers cannot overtake one another. */
let current = new AbortController()

form.addEventListener('submit', event => {
  event.preventDefault()
  void search(box.value)
})

// The sample, the latest values, the value that was just added: a click on each is a search for its key.
document.addEventListener('click', event => {
  if (!(event.target instanceof Element)) return
  const link = /** @type {HTMLElement | null} */ (event.target.closest('a[data-key]'))
  if (link === null || opensElsewhere(event)) return
  event.preventDefault()
  void search(link.dataset.key)
})

document.addEventListener('keydown', event => {
  if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return
  event.preventDefault()
  box.focus()
  box.select()
})

/** In these elements “/” is ordinary input, not the shortcut. */
function isTyping(target) {
  return target.matches('input:not([type="file"]), textarea')
}

addEventListener('popstate', showAddress)
onListSearch(() => void showAddress())
box.focus()
void showAddress()

/** Looks up the key in the address, so that a link to a value can be bookmarked and shared. */
function showAddress() {
  const uid = cleaned(keyOfAddress())
  box.value = uid
  fillForm()
  if (uid !== '') return lookUp(uid)
  if (asksForList()) return listByAddress()
  current.abort()
  document.title = `${capitalised(stream.name)} · Holdfast`
  show('')
}

async function listByAddress() {
  current.abort()
  current = new AbortController()
  const { signal } = current
  document.title = `${capitalised(stream.name)} · Holdfast`
  try {
    const answer = await readList(signal, showAddress, view)
    if (signal.aborted) return
    if ('problem' in answer) return fail(`The list was not read`, answer.problem.detail, showAddress)
    show(`The ${one}s are listed.`, answer.list)
  } catch {
    if (!signal.aborted)
      fail('The service did not answer', 'It may be stopped, or the connection is down.', showAddress)
  }
}

function search(text) {
  const uid = cleaned(text)
  box.value = uid
  box.focus()
  if (uid === '') {
    const words = `Type or paste the ${keyWord} of ${aValue} first.`
    return show(words, notice(words))
  }
  const address = addressOf(uid)
  if (address !== location.pathname + location.search) history.pushState(null, '', address)
  return lookUp(uid)
}

/** Keys are pasted out of logs and JSON: with spaces, line ends, quotes or a comma around them. */
function cleaned(text) {
  return text.replace(/^[\s"'`,]+|[\s"'`,]+$/g, '')
}

async function lookUp(uid) {
  current.abort()
  current = new AbortController()
  const { signal } = current
  document.title = `${uid} · Holdfast`
  // Browsers resolve `.` and `..` as path segments, even when they are encoded.
  if (uid.length > MAX_KEY || /^\.\.?$/.test(uid))
    return fail(NO_KEY, `This text cannot be the ${keyWord} of ${aValue}.`)
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
    const response = await call(pathOf(uid), init, () => search(uid))
    const body = await response.json()
    const elapsedMs = performance.now() - startedMs
    if (response.ok) {
      found((await view).valueView, uid, body, sourceOf(response), elapsedMs)
      void tellStory(uid, signal)
    } else explain(response.status, body, uid)
  } catch {
    if (!signal.aborted) {
      fail('The service did not answer', 'It may be stopped, or the connection is down.', () => search(uid))
    }
  } finally {
    for (const timer of waiting) clearTimeout(timer)
  }
}

function found(valueView, key, value, source, elapsedMs) {
  const shown = toDom(valueView(value, { source, elapsedMs, key, name: one, path: pathOf(key) }))
  shown.querySelector('.actions').prepend(copyButton(shown.querySelector('#json')))
  show(`${capitalised(one)} ${key} found, from ${source === 'memory' ? 'memory' : 'the database'}.`, shown)
}

/** Below the value, once it is known: where its record stands, and for operators its dead letters. */
async function tellStory(key, signal) {
  const query = new URLSearchParams({ stream: stream.name, key })
  try {
    const response = await call(`/view/story?${query}`, { signal }, () => search(key))
    if (!response.ok) return
    const names = { one, stream: isNamed ? stream.name : undefined }
    const card = toDom(storyCard(await response.json(), names))
    if (!signal.aborted) result.append(card)
  } catch {
    // The value is shown without it.
  }
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
        `No ${one} has this ${keyWord}`,
        `It may not have arrived yet, or it was set aside as a dead letter. Check that the ${keyWord} is complete.`,
        again,
      )
      return hintAtDeadLetter(problem)
    case 401:
      return fail(`A key is needed to read ${one}s`, `Type it into the field at the top; the ${one} is then looked up.`)
    case 403:
      return fail(`This key may not read ${one}s`, problem.detail)
    case 503:
      return fail(
        'The database cannot be reached just now',
        `What is in memory can still be read; this ${one} is not, and whether it is stored is not known.`,
        again,
      )
    case 400:
      return fail(NO_KEY, problem.detail)
    default:
      return fail(
        'Something went wrong on the server',
        `Its log has the cause under the trace id ${problem.trace_id}.`,
        again,
      )
  }
}

/** To callers that may look at dead letters, the API says which one holds this value, and why. */
function hintAtDeadLetter({ dead_letter: letter }) {
  if (letter === undefined) return
  const where = letter.pointer === '' ? '' : ` at ${letter.pointer}`
  const link = h('a', { href: letter.url }, letter.id)
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

/** Changes the visible result and the announcement to screen readers together. */
function show(said, ...content) {
  status.textContent = said
  result.replaceChildren(...content)
}
