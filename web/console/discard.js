import { toDom } from '../dom.js'
import { formatNumber } from '../format.js'
import { h } from '../tree.js'
import { dlqLine } from './cli-line.js'
import { confirmField, labelled, openDialog } from './dialog.js'
import { forgetList } from './list-memory.js'
import { button, cliLine, put } from './parts.js'
import { ask } from './requests.js'
import { letters } from './words.js'

/** Sets them aside for good, with a reason; they can be reopened. */
export function openDiscard(app, { q }) {
  const words = toDom(h('div', { class: 'preview', 'aria-live': 'polite' }, h('p', { class: 'soft' }, 'Counting …')))
  const because = labelled(
    'Why',
    { type: 'text', autocomplete: 'off', required: true, maxlength: '500' },
    'The audit log and the history of each of them keep it.',
  )
  const confirm = confirmField()
  const line = cliLine()
  let count
  const dialog = openDialog({
    title: 'Discard',
    body: [words, toDom(because.node), confirm.node, line.node],
    submit: 'Discard',
    danger: true,
    onSubmit: discard,
  })
  const showLine = () => {
    line.say(dlqLine('discard', q || 'state:open,parked', '--because', because.input.value.trim() || '…'))
  }
  because.input.addEventListener('input', showLine)
  showLine()
  because.input.focus()
  void look()

  async function look() {
    try {
      count = (await ask('/admin/dead-letters/discard', { body: { q, because: 'preview', dry_run: true } })).discarded
      dialog.titled(count === 0 ? 'Nothing to discard' : `Discard ${letters(count)}`)
      dialog.submits(count === 0 ? 'Discard' : `Discard ${formatNumber(count)}`)
      confirm.ask(count)
      put(
        words,
        h(
          'p',
          {},
          count === 0
            ? 'None of what matches is open or parked.'
            : `${letters(count)} that ${count === 1 ? 'is' : 'are'} open or parked ${count === 1 ? 'is' : 'are'} set aside: not written, not redriven. Their bytes stay in the topic, and this can be undone.`,
        ),
      )
    } catch (failure) {
      if (failure.title === undefined) throw failure
      put(words)
      dialog.troubled(`${failure.title}. ${failure.message}`)
    }
  }

  async function discard() {
    if (count === undefined) return dialog.troubled('They are still being counted.')
    if (count === 0) return dialog.troubled('There is nothing to discard.')
    const why = because.input.value.trim()
    because.input.setAttribute('aria-invalid', String(why === ''))
    if (why === '') {
      because.input.focus()
      return dialog.troubled('Say why: the audit log keeps it.')
    }
    if (!confirm.holds()) return dialog.troubled(confirm.words)
    const { discarded, action } = await ask('/admin/dead-letters/discard', { body: { q, because: why } })
    forgetList()
    dialog.close()
    app.tell(`${letters(discarded)} discarded: ${why}`, undoButton(app, action))
    app.reload()
  }
}

/**
 * Returns the dead letters that the action discarded, and that are still discarded, to their state before: open or parked.
 * @param {string} action the entry of the audit log
 */
export function undoButton(app, action, words = 'Undo') {
  return button(words, async event => {
    const { currentTarget } = event
    currentTarget.disabled = true
    try {
      const { restored } = await ask('/admin/dead-letters/restore', { body: { action } })
      forgetList()
      app.tell(restored === 0 ? 'There was nothing left to reopen.' : `${letters(restored)} reopened.`)
      app.reload()
    } catch (failure) {
      currentTarget.disabled = false
      app.tell(`${failure.title}. ${failure.message}`)
    }
  })
}
