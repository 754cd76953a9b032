import { toDom } from '../dom.js'
import { h, text } from '../tree.js'
import { labelled, openDialog } from './dialog.js'
import { put } from './parts.js'
import { ask } from './requests.js'

/** Automatic redrive: its state, who set it, and the switch. */
export function createSwitch(app) {
  const words = toDom(h('p', { class: 'soft' }))
  const turn = toDom(
    h(
      'button',
      {
        type: 'button',
        role: 'switch',
        class: 'switch-button',
        'aria-checked': 'false',
        'aria-labelledby': 'automatic-label',
        click: askWhy,
      },
      'off',
    ),
  )
  const node = toDom(
    h(
      'div',
      { class: 'card automatic' },
      h('div', {}, h('h3', { id: 'automatic-label' }, 'Automatic redrive'), words),
      turn,
    ),
  )
  let now = { on: false }

  function take({ automatic_redrive: told }) {
    turn.hidden = told == null
    if (told == null) return put(words, 'Whether it is on is not known: Postgres does not answer.')
    now = told
    turn.setAttribute('aria-checked', String(now.on))
    turn.textContent = now.on ? 'on' : 'off'
    const who = now.changed_by == null ? [] : [' Turned ', now.on ? 'on' : 'off', ' by ', text(now.changed_by), '.']
    const next =
      now.on && now.next_run != null
        ? [
            ' Next look ',
            h('time', { datetime: now.next_run }, new Date(now.next_run).toISOString().slice(11, 16)),
            ' UTC.',
          ]
        : []
    put(
      words,
      'Dead letters with a temporary cause (retries_exhausted, unexpected_error) are redriven by the service, at longer and longer intervals.',
      ...who,
      ...next,
    )
  }

  function askWhy() {
    const on = !now.on
    const because = labelled(
      'Why',
      { type: 'text', autocomplete: 'off', maxlength: '500' },
      'For the audit log. May be left empty.',
    )
    const dialog = openDialog({
      title: on ? 'Turn automatic redrive on' : 'Turn automatic redrive off',
      body: [toDom(because.node)],
      submit: on ? 'Turn it on' : 'Turn it off',
      async onSubmit() {
        const answer = await ask('/admin/automatic-redrive', {
          body: { on, because: because.input.value.trim() || undefined },
        })
        take({ automatic_redrive: { ...now, ...answer } })
        dialog.close()
        app.say(`Automatic redrive is ${on ? 'on' : 'off'}.`)
      },
    })
  }

  return {
    node,
    take,
    async load(signal) {
      take(await ask('/admin/stream', { signal }))
    },
  }
}
