import { toDom } from '../dom.js'
import { h } from '../tree.js'

/**
 * Which stream the console is about: the one that the address names, else the first one of the process. It stays the same until the
 * page is loaded again: each link of the switch does that.
 */

/**
 * @typedef {{ name: string }} Stream
 * @typedef {{ current: string | undefined, all: readonly string[], isKnown: boolean, command: string }} Choice
 */

/**
 * @param {readonly Stream[]} streams of the process, as `GET /streams` lists them
 * @param {string} search of a location
 * @param {string} [command] how people start the command line of this installation
 * @returns {Choice} `current` is undefined while there is only one: nothing needs to name it
 */
function choiceOf(streams, search, command = 'bin/holdfast') {
  const named = new URLSearchParams(search).get('stream') || undefined
  const all = streams.map(({ name }) => name)
  const isKnown = named === undefined || all.length === 0 || all.includes(named)
  return { all, isKnown, command, current: named ?? (all.length > 1 ? all[0] : undefined) }
}

/**
 * Asks which streams there are. When that cannot be known, the address alone decides, and the requests for data say what is wrong.
 * @returns {Promise<Choice>}
 */
export async function chosenStream() {
  try {
    const response = await fetch('/streams')
    const { streams, command } = await response.json()
    return choiceOf(streams, location.search, command)
  } catch {
    return choiceOf([], location.search)
  }
}

/** @param {string} name */
const addressOfStream = name => `/admin?${new URLSearchParams({ stream: name })}`

/**
 * Links to the console of each stream; nothing where there is only one.
 * @param {Choice} choice
 * @returns {Node | undefined}
 */
export function streamSwitch({ all, current }) {
  if (all.length < 2) return undefined
  const links = all.map(name =>
    h('a', { href: addressOfStream(name), ...(name === current ? { 'aria-current': 'page' } : {}) }, name),
  )
  return toDom(h('nav', { class: 'streams', 'aria-label': 'Streams' }, ...links))
}

/**
 * The message for an address that names a stream which this process does not have.
 * @param {Choice} choice
 * @returns {Node}
 */
export function unknownStream({ all, current }) {
  const links = all.flatMap((name, index) => [index === 0 ? '' : ', ', h('a', { href: addressOfStream(name) }, name)])
  return toDom(
    h(
      'div',
      { class: 'notice' },
      h('h2', {}, 'There is no such stream here'),
      h('p', {}, `The address names the stream “${current}”. This service has `, ...links, '.'),
    ),
  )
}
