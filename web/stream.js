/**
 * The stream that this page is about, as the server wrote it into the page (`GET /streams` has the same of all streams).
 * @typedef {{
 *   name: string, value_path: string, create_path: string, live_path: string, route: string, key: string,
 *   list: { by: string[] } | null, values_field: string, key_field: string, file_field: string,
 *   value_name: string, key_name: string, view: string
 * }} Stream
 */

/** @type {Stream} */
export const stream = JSON.parse(document.querySelector('main')?.dataset.stream ?? '{}')

/** What people start the command line with. */
export const command = document.querySelector('main')?.dataset.command ?? 'bin/holdfast'

/** Whether the address names the stream: then links to other keys do so, too. */
export const isNamed = new URLSearchParams(location.search).has('stream')

/** Where the API has a value. @param {string} key */
export function pathOf(key) {
  return stream.value_path.replace('{key}', () => encodeURIComponent(key))
}

/** Where this page shows a value: an address that can be kept and sent. @param {string} key */
export function addressOf(key) {
  const parameters = new URLSearchParams(isNamed ? { stream: stream.name } : {})
  parameters.set(stream.key_name, key)
  return `/?${parameters}`
}

/** The key that the address asks for; an empty text when it asks for none. `key` works for every stream. */
export function keyOfAddress() {
  const parameters = new URLSearchParams(location.search)
  return parameters.get(stream.key_name) ?? parameters.get('key') ?? ''
}

/** The key that a value holds, by the stream's JSON Pointer (RFC 6901). @param {unknown} value */
export function keyIn(value) {
  const names = stream.key.slice(1).split('/')
  let part = /** @type {any} */ (value)
  for (const name of names) part = part?.[name.replaceAll('~1', '/').replaceAll('~0', '~')]
  return String(part)
}

/** `an order`, `a value`. */
export const aValue = `${/^[aeiou]/i.test(stream.value_name) ? 'an' : 'a'} ${stream.value_name}`

/** `Order`. @param {string} words */
export function capitalised(words) {
  return words.charAt(0).toUpperCase() + words.slice(1)
}
