import { call } from './api.js'
import { element, toDom } from './dom.js'
import { foundList, listQuery } from './found-list.js'
import { addressOf, isNamed, keyIn, stream } from './stream.js'

/** The form that finds values by what their list can be restricted to. Its address can be kept and sent. */

const form = /** @type {HTMLFormElement | null} */ (element('#by'))
const FIELDS = [...(stream.list?.by ?? []), 'from', 'to']

/** Whether the address asks for a list. */
export function asksForList() {
  const address = new URLSearchParams(location.search)
  return form !== null && FIELDS.some(name => address.get(name))
}

/** @param {() => void} show shows what the address asks for */
export function onListSearch(show) {
  form?.addEventListener('submit', event => {
    event.preventDefault()
    const query = new URLSearchParams(isNamed ? { stream: stream.name } : {})
    for (const name of FIELDS) {
      const value = new FormData(form).get(name)
      if (typeof value === 'string' && value.trim() !== '') query.set(name, value.trim())
    }
    history.pushState(null, '', `/?${query}`)
    show()
  })
}

/** Fills the form from the address, also with nothing. */
export function fillForm() {
  const address = new URLSearchParams(location.search)
  for (const name of FIELDS) {
    const field = form?.elements.namedItem(name)
    if (field instanceof HTMLInputElement) field.value = address.get(name) ?? ''
  }
}

/**
 * @param {AbortSignal} signal @param {() => void} again @param {Promise<any>} view
 * @returns {Promise<{ list: any } | { problem: { status: number, detail: string } }>}
 */
export async function readList(signal, again, view) {
  const address = new URLSearchParams(location.search)
  const response = await call(`${stream.route}?${new URLSearchParams(listQuery(address))}`, { signal }, again)
  const body = await response.json()
  if (!response.ok) return { problem: { status: response.status, detail: body.detail } }
  const { rowCells = () => [], summaryOf = () => ({}) } = await view
  const rows = body[stream.values_field].map(value => {
    const key = keyIn(value)
    return { key, href: addressOf(key), cells: rowCells(summaryOf(value)) }
  })
  address.set('cursor', body.next)
  const more = body.next === null ? undefined : `/?${address}`
  return { list: toDom(foundList(rows, { one: stream.value_name, more })) }
}
