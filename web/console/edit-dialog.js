import { toDom } from '../dom.js'
import { h, text } from '../tree.js'
import { dlqLine } from './cli-line.js'
import { labelled, openDialog } from './dialog.js'
import { lineDiff } from './diff.js'
import { jsonLines, placeOf, textOf } from './json-lines.js'
import { filterOfRows } from './list.js'
import { button, cliLine, put } from './parts.js'
import { startRedrive } from './redrive-dialog.js'
import { ask } from './requests.js'

const TYPING_MS = 400

/**
 * Edit one value and publish that instead. It starts from the value in full, which the audit log notes: what is masked would
 * otherwise be published masked.
 * @param {any} shown the dead letter, as `GET /admin/dead-letters/ID` shows it
 * @param {boolean} revealed whether its value is whole already
 */
export async function openEdit(app, shown, revealed) {
  const { id, state } = shown
  let letter = shown
  try {
    if (!revealed) letter = await ask(`/admin/dead-letters/${encodeURIComponent(id)}`)
  } catch (failure) {
    if (failure.title === undefined) throw failure
    return app.tell(`${failure.title}. ${failure.message}`)
  }
  if (letter.value?.text === undefined) return app.tell('These bytes are not text, so there is nothing to edit.')
  const q = filterOfRows([{ id, state }])
  const json = jsonLines(letter.value.text)
  // Laid out to be read; every literal stays as it was written.
  const original = json.stop === undefined ? textOf(json.lines) : letter.value.text
  const value = labelled(
    'Value',
    { class: 'edit', rows: '18', spellcheck: 'false', autocomplete: 'off', autocapitalize: 'none', wrap: 'off' },
    undefined,
    'textarea',
  )
  value.input.value = original
  const because = labelled(
    'Why',
    { type: 'text', autocomplete: 'off', maxlength: '500' },
    'For the audit log. May be left empty.',
  )
  const verdict = toDom(h('div', { class: 'edit-verdict', 'aria-live': 'polite' }))
  const line = cliLine()
  line.say(dlqLine('redrive', q, '--edit', 'value.json'))
  const diff = toDom(h('ol', { class: 'diff', 'aria-label': 'What you changed' }))
  let asking = new AbortController()
  let timer
  let valid = false

  const dialog = openDialog({
    title: `Edit and redrive ${id}`,
    wide: true,
    body: [
      toDom(
        h(
          'p',
          { class: 'hint' },
          'The original stays in the dead-letter topic; the redrive is marked as edited. You see the value in full, and the audit log notes that.',
        ),
      ),
      toDom(
        h(
          'div',
          { class: 'edit-columns' },
          value.node,
          h('div', {}, h('h3', {}, 'Checked against today’s schema'), verdict, h('h3', {}, 'What you changed'), diff),
        ),
      ),
      toDom(because.node),
      line.node,
    ],
    submit: 'Redrive the edited value',
    onSubmit: start,
    onClose: () => {
      clearTimeout(timer)
      asking.abort()
    },
  })
  value.input.addEventListener('input', () => {
    valid = false
    showDiff()
    clearTimeout(timer)
    timer = setTimeout(check, TYPING_MS)
  })
  showDiff()
  void check()

  function showDiff() {
    const lines = lineDiff(original, value.input.value)
    const signs = { '-': 'before: ', '+': 'after: ', ' ': '', '…': '' }
    const row = ({ kind, text: line }) =>
      h(
        'li',
        { 'data-kind': kind },
        h('span', { class: 'visually-hidden' }, signs[kind]),
        h('code', {}, kind === '…' ? '…' : `${kind} ${line}`),
      )
    put(diff, ...(lines.length === 0 ? [h('li', { class: 'soft' }, 'Nothing yet.')] : lines.map(row)))
  }

  async function check() {
    asking.abort()
    asking = new AbortController()
    const { signal } = asking
    put(verdict, h('p', { class: 'soft' }, 'Checking …'))
    try {
      await ask('/admin/dead-letters/replays', { body: { q, edit: value.input.value, dry_run: true }, signal })
      if (signal.aborted) return
      valid = true
      put(verdict, h('p', { class: 'verdict', 'data-passes': 'true' }, 'It passes.'))
    } catch (failure) {
      if (signal.aborted) return
      if (failure.title === undefined) throw failure
      put(verdict, ...refusal(failure))
      if (value.input.value === original && document.activeElement === value.input)
        verdict.querySelector('.rules button')?.click()
    }
  }

  function refusal({ status, problem, title, message }) {
    const violations = problem.violations ?? problem.errors ?? []
    if (status !== 422 || violations.length === 0)
      return [h('p', { class: 'verdict', 'data-passes': 'false' }, `${title}. ${message}`)]
    const { places, stop } = jsonLines(value.input.value)
    const rows = violations.map(({ pointer, message, keyword }) => {
      const line = value.input.value.slice(0, stop ?? placeOf(places, pointer).at).split('\n').length
      return h(
        'li',
        {},
        button(`Line ${line}`, () => goToLine(line)),
        ' ',
        ...(pointer === '' ? [] : [h('code', {}, text(pointer)), ' ']),
        text(message),
        ...(keyword === undefined ? [] : [' ', h('code', { class: 'keyword' }, text(keyword))]),
      )
    })
    return [
      h('p', { class: 'verdict', 'data-passes': 'false' }, 'It would fail again:'),
      h('ul', { class: 'rules' }, ...rows),
    ]
  }

  function goToLine(line) {
    const { input } = value
    const lines = input.value.split('\n')
    const from = lines.slice(0, line - 1).join('\n').length + (line > 1 ? 1 : 0)
    input.focus()
    input.setSelectionRange(from, from + (lines[line - 1]?.length ?? 0))
    input.scrollTop = (line - 4) * Number.parseFloat(getComputedStyle(input).lineHeight)
  }

  async function start() {
    if (value.input.value === original) return dialog.troubled('Nothing is changed. To send it as it is, use Redrive.')
    if (!valid) return dialog.troubled('It has to pass the check first.')
    await startRedrive(app, dialog, { q, edit: value.input.value, because: because.input.value.trim() || undefined })
  }
}
