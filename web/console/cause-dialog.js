import { toDom } from '../dom.js'
import { h, text } from '../tree.js'
import { dlqLine } from './cli-line.js'
import { labelled, openDialog } from './dialog.js'
import { age, cliLine, facts } from './parts.js'
import { ask } from './requests.js'
import { CAUSE_STATES, named } from './words.js'

/**
 * What a cause may be set to, with the request and the flags of the command line for each.
 * @type {any[][]}
 */
const CHOICES = [
  ['known', 'known', { state: 'known' }, ['--known']],
  ...[
    ['1h', '1 hour', 3_600],
    ['4h', '4 hours', 14_400],
    ['24h', '24 hours', 86_400],
    ['7d', '7 days', 604_800],
    ['30d', '30 days', 2_592_000],
  ].map(([end, words, seconds]) => [
    end,
    `snoozed for ${words}`,
    { state: 'snoozed', snooze_seconds: seconds },
    ['--snooze', end],
  ]),
  ...[10, 100, 1_000].map(more => [
    `+${more}`,
    `snoozed until ${more} more wait`,
    { state: 'snoozed', snooze_more: more },
    ['--snooze', `+${more}`],
  ]),
  ['resolved', 'resolved: should it fail again, it came back', { state: 'resolved' }, ['--resolve']],
]

/** What is known of a cause, and what an operator says of it. */
export function openCause(app, { reason, error, pointer, cause }) {
  const state = labelled('State', {}, undefined, 'select')
  state.input.append(
    ...[['', `as it is: ${named(CAUSE_STATES, cause.state)}`], ...CHOICES].map(([value, words]) =>
      toDom(h('option', { value }, words)),
    ),
  )
  const owner = labelled('Owner', {
    ...{ type: 'text', autocomplete: 'off', maxlength: '100', value: cause.owner ?? '' },
  })
  const note = labelled('Note', { rows: '3', maxlength: '2000' }, 'What is known of it. No personal data.', 'textarea')
  note.input.value = cause.note ?? ''
  const because = labelled(
    'Why',
    { type: 'text', autocomplete: 'off', maxlength: '500' },
    'For the audit log. May be left empty.',
  )
  const line = cliLine()
  const chosen = () => CHOICES.find(([value]) => value === state.input.value)
  const changed = (field, before) =>
    field.input.value.trim() === (before ?? '') ? undefined : field.input.value.trim()

  const dialog = openDialog({
    title: 'Cause',
    body: [
      h('p', { class: 'cause' }, h('strong', {}, text(reason)), ' · ', h('code', {}, text(error)), ...placeOf(pointer)),
      facts([
        ['State', h('span', {}, named(CAUSE_STATES, cause.state), ' for ', age(cause.since))],
        ['Version', cause.version],
        ['Changed', cause.changed_at && h('span', {}, age(cause.changed_at), ' ago by ', text(cause.changed_by))],
      ]),
      toDom(h('div', { class: 'fields' }, state.node, owner.node)),
      toDom(note.node),
      toDom(because.node),
      line.node,
    ],
    submit: 'Save',
    onSubmit: save,
  })
  const showLine = () => {
    const [owned, noted] = [changed(owner, cause.owner), changed(note, cause.note)]
    const flags = [
      ...(chosen()?.[3] ?? []),
      ...(owned === undefined ? [] : ['--owner', owned]),
      ...(noted === undefined ? [] : ['--note', noted]),
    ]
    line.say(dlqLine('cause', cause.id, ...flags))
  }
  for (const { input } of [state, owner, note]) input.addEventListener('input', showLine)
  showLine()
  state.input.focus()

  async function save() {
    const change = { ...chosen()?.[2], owner: changed(owner, cause.owner), note: changed(note, cause.note) }
    if (Object.values(change).every(value => value === undefined)) return dialog.close()
    const body = { ...change, because: because.input.value.trim() || undefined }
    const now = await ask(`/admin/dead-letters/causes/${cause.id}`, { method: 'PATCH', body })
    dialog.close()
    app.tell(`The cause is ${named(CAUSE_STATES, now.state)}${now.owner === null ? '' : `, owner ${now.owner}`}.`)
    app.reload()
  }
}

function placeOf(pointer) {
  return pointer === '' ? [] : [' at ', h('code', {}, text(pointer))]
}
