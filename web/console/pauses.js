import { toDom } from '../dom.js'
import { h, text } from '../tree.js'
import { labelled, openDialog } from './dialog.js'
import { age, button, cliLine } from './parts.js'
import { ask } from './requests.js'

/** Pauses that operators make and lift: of a partition, or of the whole stream. */

/** @param {number | undefined} partition the whole stream */
const placeWords = partition => (partition === undefined ? 'the stream' : `partition ${partition}`)

/**
 * A notice with the way on.
 * @param {{ partition: number | undefined, pause: { by: string, because: string, since: string } }} one
 * @param {() => void} resume
 */
export function pauseNotice({ partition, pause }, resume) {
  return h(
    'div',
    { class: 'notice' },
    h(
      'p',
      {},
      h('strong', {}, text(pause.by)),
      ` paused ${placeWords(partition)} `,
      age(pause.since),
      ' ago: ',
      text(pause.because),
    ),
    h('div', { class: 'actions' }, button(`Resume ${placeWords(partition)} …`, resume)),
  )
}

/**
 * @param {any} app
 * @param {number | undefined} partition the whole stream
 * @param {() => Promise<void>} reload
 */
export function openPause(app, partition, reload) {
  const what = placeWords(partition)
  const scope =
    partition === undefined ? 'All partitions of the stream, also those that come later.' : 'Other partitions go on.'
  openWithReason({
    title: `Pause ${what}`,
    words: `Batches in flight are settled, and nothing more is read until an operator resumes it; nothing is lost. It survives restarts. ${scope}`,
    hint: 'Kept in the audit log, and shown with the stream.',
    submit: 'Pause',
    line: `pause${flagOf(partition)} --because …`,
    async act(because) {
      await ask('/admin/stream/pause', { body: { partition, because } })
      app.tell(`${partition === undefined ? 'The stream' : `Partition ${partition}`} is being paused.`)
      await reload()
    },
  })
}

/**
 * @param {any} app
 * @param {{ partition: number | undefined, lift: 'operator' | 'storm_guard' }} what without a partition all that are paused like that
 * @param {() => Promise<void>} reload
 */
export function openResume(app, { partition, lift }, reload) {
  const what =
    partition !== undefined ? `partition ${partition}` : lift === 'operator' ? 'the stream' : 'all partitions'
  openWithReason({
    title: `Resume ${what}`,
    hint: 'The audit log keeps it.',
    submit: 'Resume',
    line: `resume${flagOf(partition)} --lift ${lift}`,
    async act(because) {
      const { lifted } = await ask('/admin/stream/resume', { body: { partition, lift, because } })
      const gone = lifted.map(({ partition: one }) => (one === null ? 'the stream' : `partition ${one}`)).join(', ')
      const begins = `${gone.charAt(0).toUpperCase()}${gone.slice(1)}`
      app.tell(gone === '' ? 'Nothing was paused any more.' : `${begins} resumed.`)
      await reload()
    },
  })
}

function flagOf(partition) {
  return partition === undefined ? '' : ` --partition ${partition}`
}

/**
 * A dialog that does something once a reason is given.
 * @param {{ title: string, words?: string, hint: string, submit: string, line: string, act: (because: string) => Promise<void> }} options
 */
function openWithReason({ title, words, hint, submit, line: command, act }) {
  const because = labelled('Why', { type: 'text', autocomplete: 'off', required: true, maxlength: '500' }, hint)
  const line = cliLine()
  line.say(command)
  const dialog = openDialog({
    title,
    body: [...(words === undefined ? [] : [h('p', {}, words)]), toDom(because.node), line.node],
    submit,
    async onSubmit() {
      const why = because.input.value.trim()
      because.input.setAttribute('aria-invalid', String(why === ''))
      if (why === '') {
        because.input.focus()
        return dialog.troubled('Say why: the audit log keeps it.')
      }
      await act(why)
      dialog.close()
    },
  })
  because.input.focus()
}
