import { toDom } from '../dom.js'
import { h } from '../tree.js'
import { dlqLine, shellQuoted } from './cli-line.js'
import { labelled, openDialog } from './dialog.js'
import { forgetList } from './list-memory.js'
import { cliLine } from './parts.js'
import { ask } from './requests.js'
import { STEPS } from './states.js'
import { doneWords, letters } from './words.js'

/** Pause, resume and cancel, on the page of a redrive and in the line above every view. */
export const STEP_NAMES = { pause: 'Pause', resume: 'Resume', cancel: 'Cancel …' }
export const STEP_HINTS = {
  pause: 'What is done stays done; the rest waits.',
  resume: 'Goes on where it stopped. If it had paused itself, it goes on without a canary, and counts failures anew.',
  cancel: 'What is done stays done; the others are released: they wait as before.',
}

/** Steps that would change something. */
export function stepsOf({ state, pending }) {
  return Object.keys(STEP_NAMES).filter(name => STEPS[name].includes(state) && (name !== 'resume' || pending > 0))
}

/**
 * Takes the step; a cancellation asks first.
 * @param {any} app
 * @param {(redrive: any) => void} take what to do with the redrive as it is then
 */
export async function steer(app, redrive, name, take) {
  if (name === 'cancel') return askToCancel(redrive, take)
  try {
    take(await ask(`/admin/replays/${redrive.id}/${name}`, { body: {} }))
    forgetList()
  } catch (failure) {
    if (failure.title === undefined) throw failure
    const { running } = failure.problem ?? {}
    app.tell(
      `${failure.title}. ${failure.message}`,
      ...(running === undefined ? [] : [app.link({ view: 'replay', id: running.id }, {}, 'Look at it')]),
    )
  }
}

function askToCancel(redrive, take) {
  const { id, pending } = redrive
  const because = labelled(
    'Why',
    { type: 'text', autocomplete: 'off', maxlength: '500' },
    'For the audit log. May be left empty.',
  )
  const line = cliLine()
  line.say(`${dlqLine('cancel')} ${shellQuoted(id)}`)
  const dialog = openDialog({
    title: 'Cancel the redrive?',
    body: [
      toDom(
        h(
          'p',
          {},
          `${doneWords(redrive)}: that stays so. `,
          h('strong', {}, letters(pending)),
          ` ${pending === 1 ? 'is' : 'are'} released: ${pending === 1 ? 'it waits' : 'they wait'} as before. This cannot be resumed; to stop it for now, pause it.`,
        ),
      ),
      toDom(because.node),
      line.node,
    ],
    submit: 'Cancel the redrive',
    leave: 'Let it be',
    danger: true,
    async onSubmit() {
      const body = { because: because.input.value.trim() || undefined }
      take(await ask(`/admin/replays/${id}/cancel`, { body }))
      forgetList()
      dialog.close()
    },
  })
}
