import { element } from './dom.js'

/**
 * Requests to our own API, with the key when there is one. It is kept for this tab only, and goes nowhere but here.
 */
const STORED = 'holdfast.key'

const form = element('#key-form')
const field = element('#key')
const explained = element('#key-why')
/** A page may say what the key is for. */
const FIRST = explained.textContent || 'This service asks for a key. It is kept until you close this tab.'

/** What to do again once there is a key. */
const waiting = new Set()

form.addEventListener('submit', event => {
  event.preventDefault()
  const key = field.value.trim()
  if (key === '') return field.focus()
  sessionStorage.setItem(STORED, key)
  field.value = ''
  form.hidden = true
  const again = [...waiting]
  waiting.clear()
  for (const retry of again) retry()
})

/**
 * Like fetch. An answer that requires a key also shows the field for it.
 * @param {string} path
 * @param {RequestInit} init
 * @param {() => void} again what to do once a key was given
 */
export async function call(path, init, again) {
  const key = sessionStorage.getItem(STORED)
  const headers = new Headers(init.headers)
  if (key !== null) headers.set('Authorization', `Bearer ${key}`)
  const response = await fetch(path, { ...init, headers, cache: 'no-store' })
  if (response.status !== 401) return response
  // Refused with a key that has been replaced meanwhile, or without the one that was typed since: that one stays.
  if (sessionStorage.getItem(STORED) !== key) again()
  else askForKey(key !== null, again)
  return response
}

/** Asks for a key, also when the current one is known but lacks a scope, because another key may have it. */
export function askForKey(hadOne, again, words) {
  waiting.add(again)
  forgetKey()
  // A late answer to a request without a key does not replace the reason why the last key was refused.
  if (words !== undefined || hadOne || form.hidden)
    explained.textContent =
      words ??
      (hadOne
        ? 'This key is not accepted here. Try another one: without API_KEYS, each start of the service makes a new one.'
        : FIRST)
  form.hidden = false
  // Does not move the focus while the user types in a field.
  if (!(/** @type {any} */ (document.activeElement)?.value)) field.focus()
}

export function hasKey() {
  return sessionStorage.getItem(STORED) !== null
}

export function forgetKey() {
  sessionStorage.removeItem(STORED)
}
