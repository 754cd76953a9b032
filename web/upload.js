import { askForKey, call } from './api.js'
import { element, toDom } from './dom.js'
import { addressOf, aValue, capitalised, stream } from './stream.js'
import { h, text } from './tree.js'

const { value_name: one } = stream

/** The server's limit: a larger file is rejected before it is sent. */
const MAX_BYTES = 1024 * 1024

const form = element('#create')
const file = element('#order-file')
const drop = element('#drop')
const button = element('#send')
const answer = element('#create-answer')

form.addEventListener('submit', event => {
  event.preventDefault()
  void send()
})
// The answer belongs to the previous file.
file.addEventListener('change', () => answer.replaceChildren())

drop.addEventListener('dragover', event => {
  event.preventDefault()
  drop.classList.add('over')
})
drop.addEventListener('dragleave', () => drop.classList.remove('over'))
drop.addEventListener('drop', event => {
  event.preventDefault()
  drop.classList.remove('over')
  if (event.dataTransfer.files.length === 0) return
  file.files = event.dataTransfer.files
  answer.replaceChildren()
})

async function send() {
  const chosen = file.files[0]
  if (chosen === undefined) return say('Choose a file first', [`It holds one ${one} as JSON.`])
  if (chosen.size > MAX_BYTES) return say(...tooLarge())
  button.disabled = true
  try {
    const body = new FormData()
    body.set(stream.file_field, chosen)
    const response = await call(stream.create_path, { method: 'POST', body }, send)
    if (response.ok) stored(response)
    else refused(response, await response.json())
  } catch {
    say('There was no answer', [
      `The file can no longer be read, or the service did not answer: then it is not known whether the ${one} was taken. To send it again does no harm, it is stored once.`,
    ])
  } finally {
    button.disabled = false
  }
}

/** 201: it is in the database. 202: it is stored in the stream, and will be written to the database. */
function stored(response) {
  const uid = decodeURIComponent(response.headers.get('Location')?.split('/').pop() ?? '')
  const title = response.status === 201 ? `The ${one} is stored` : `The ${one} is published`
  const later = response.status === 201 ? '' : 'It is safe in Kafka, and is stored as soon as the database takes it. '
  const link = h('a', { href: addressOf(uid), 'data-key': uid, class: 'sample' }, uid)
  say(title, [], h('p', {}, later, 'Look at it: ', link))
}

function refused(response, problem) {
  switch (response.status) {
    case 401:
      return say(`A key is needed to add ${aValue}`, [`Type it into the field at the top; the ${one} is then sent.`])
    case 403:
      if (problem.code === 'role_too_small') askForKey(true, send)
      return say('This key may only read', [`To add ${aValue} it takes one with the role “write”.`])
    case 409:
      return say(`A newer version of the ${one} is stored`, [problem.detail])
    case 413:
      return say(...tooLarge())
    case 422:
      return say(`This is not a valid ${one}`, [], ...violations(problem))
    case 429:
      return say(`Too many ${one}s at once`, [`Send it again in ${seconds(response)}.`])
    case 503:
      return say(`Kafka did not confirm the ${one}`, [
        `It cannot be reached just now, so it is not known whether the ${one} was taken. Send it again later: ${aValue} that arrives twice is stored once.`,
      ])
    default:
      return say(`The ${one} was not taken`, [problem.detail ?? `The server answered ${response.status}.`])
  }
}

/** Each with its place in the file in words; the pointer itself is the title. */
function violations({ errors = [], detail, code }) {
  // A text that is not valid JSON has no places.
  if (code !== 'schema_violation') return [h('p', {}, detail)]
  const entries = errors.map(({ pointer, message }) =>
    h('li', {}, h('strong', { title: pointer }, text(placeOf(pointer))), ' ', text(message)),
  )
  return [h('p', {}, 'Not stored. Fix these:'), h('ul', { class: 'violations' }, ...entries)]
}

/** `/items/0/price` is “items › no. 1 › price”: counted from one, as people do. Escapes: RFC 6901. */
function placeOf(pointer) {
  if (pointer === '') return 'The file'
  const parts = pointer.slice(1).split('/')
  const names = parts.map(part => part.replaceAll('~1', '/').replaceAll('~0', '~'))
  return names.map(name => (/^\d+$/.test(name) ? `no. ${Number(name) + 1}` : name)).join(' › ')
}

function tooLarge() {
  return [`This file is too large for ${aValue}`, [`${capitalised(aValue)} has at most 1 MiB.`]]
}

function seconds(response) {
  const wait = response.headers.get('Retry-After')
  return wait === null ? 'a minute' : `${wait} s`
}

function say(title, words, ...more) {
  const paragraphs = words.map(words => h('p', {}, words))
  answer.replaceChildren(toDom(h('div', { class: 'answer' }, h('h3', {}, title), ...paragraphs, ...more)))
}
