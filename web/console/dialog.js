import { toDom } from '../dom.js'
import { h } from '../tree.js'

let count = 0

/**
 * A modal dialog. The browser keeps the focus within it, closes it on Escape, and returns the focus
 * to the element that had it before.
 * @param {{ title: string, body: (import('../tree.js').Child | Node)[], submit?: string, danger?: boolean, wide?: boolean,
 *   leave?: string, onSubmit?: () => Promise<void> | void, onClose?: () => void }} options `onSubmit` closes it when it has
 *   succeeded; `leave` are the words of the button that only closes it
 */
export function openDialog({ title, body, submit, danger = false, wide = false, leave: close, onSubmit, onClose }) {
  count += 1
  const id = `dialog-${count}`
  const heading = toDom(h('h2', { id }, title))
  const trouble = toDom(h('p', { class: 'trouble', role: 'alert' }))
  const go =
    submit === undefined
      ? undefined
      : toDom(h('button', { type: 'submit', ...(danger ? { class: 'danger' } : {}) }, submit))
  const leave = toDom(
    h(
      'button',
      { type: 'button', class: 'quiet', click: () => element.close() },
      close ?? (submit === undefined ? 'Close' : 'Cancel'),
    ),
  )
  const form = toDom(
    h(
      'form',
      { novalidate: true },
      heading,
      ...body,
      trouble,
      h('div', { class: 'dialog-actions' }, leave, ...(go === undefined ? [] : [go])),
    ),
  )
  const element = toDom(h('dialog', { 'aria-labelledby': id, ...(wide ? { class: 'wide' } : {}) }, form))
  const dialog = {
    element,
    close: () => element.close(),
    titled(words) {
      heading.textContent = words
    },
    submits(words) {
      go.textContent = words
    },
    /** Shows why the dialog cannot be submitted; without arguments it clears the error. */
    troubled(...content) {
      trouble.replaceChildren(...content.map(part => toDom(part)))
    },
  }
  form.addEventListener('submit', async event => {
    event.preventDefault()
    if (onSubmit === undefined) return element.close()
    go.disabled = true
    try {
      await onSubmit()
    } catch (failure) {
      if (failure.title === undefined) throw failure
      dialog.troubled(`${failure.title}. ${failure.message}`)
    } finally {
      go.disabled = false
    }
  })
  element.addEventListener('close', () => {
    element.remove()
    onClose?.()
  })
  document.body.append(element)
  element.showModal()
  // The first control has the focus now. In a long dialog it is at the end, and the heading would be out of sight.
  element.scrollTop = 0
  return dialog
}

let field = 0

/** A labelled field, with a hint that belongs to it. */
export function labelled(label, attributes, hint, tag = 'input') {
  field += 1
  const id = `field-${field}`
  const input = toDom(
    h(tag, { id, ...attributes, ...(hint === undefined ? {} : { 'aria-describedby': `${id}-hint` }) }),
  )
  const hinted = hint === undefined ? [] : [h('p', { id: `${id}-hint`, class: 'hint' }, hint)]
  return { input, node: h('div', { class: 'field' }, h('label', { for: id }, label), input, ...hinted) }
}

export function ticked(label, attributes = {}) {
  const input = toDom(h('input', { type: 'checkbox', ...attributes }))
  return { input, node: h('label', { class: 'tick' }, input, label) }
}

/** Above this many records a click does not confirm: the number has to be typed. */
export const MANY = 100

/** @returns a field that is shown only when `count` is above the limit, and whether its content confirms */
export function confirmField() {
  const { input, node } = labelled('', { type: 'text', inputmode: 'numeric', autocomplete: 'off', class: 'number' })
  const made = toDom(node)
  const label = made.querySelector('label')
  let needed = 0
  return {
    node: made,
    ask(count) {
      needed = count
      made.hidden = count <= MANY
      label.textContent = `Type ${count} to confirm`
    },
    holds() {
      const right = needed <= MANY || input.value.replace(/[\s,.']/g, '') === String(needed)
      input.setAttribute('aria-invalid', String(!right))
      if (!right) input.focus()
      return right
    },
    get words() {
      return `This takes ${needed} dead letters at once: type the number to confirm.`
    },
  }
}
