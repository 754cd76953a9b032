import { toDom } from '../dom.js'
import { formatNumber } from '../format.js'
import { h, text } from '../tree.js'
import { addressOf } from './address.js'
import { dlqLine } from './cli-line.js'
import { confirmField, labelled, openDialog, ticked } from './dialog.js'
import { forgetList } from './list-memory.js'
import { age, cliLine, put } from './parts.js'
import { ask } from './requests.js'
import { doneWords, duration, LEFT_OUT, letters, named, REDRIVE_STATES } from './words.js'

/** As `redrive-guard.ts` has them. */
const USUAL_RATE = 100
const USUAL_MAX_FAILURES = 20
const USUAL_YIELD_ABOVE = 10
const TYPING_MS = 300

/**
 * Preview, rate, confirm. The confirmed number is sent as the limit of the redrive, so that dead letters which
 * arrive in between are not included.
 * @param {any} app
 * @param {{ q: string, count?: number, words?: string }} target
 */
export function openRedrive(app, { q }, { onlyPassing = false } = {}) {
  const words = toDom(h('div', { class: 'preview', 'aria-live': 'polite' }))
  const rate = labelled(
    'Records a second',
    { type: 'number', min: '0', step: 'any', inputmode: 'decimal', value: String(USUAL_RATE), class: 'number' },
    'Empty: no limit.',
  )
  const limit = labelled(
    'At most',
    { type: 'number', min: '1', step: '1', inputmode: 'numeric', class: 'number' },
    'Empty: all of them. The oldest come first.',
  )
  const canary = labelled(
    'Canary',
    { type: 'number', min: '0', step: '1', inputmode: 'numeric', class: 'number' },
    'So many first; it pauses when half of them fail again. Empty: 1 %, from 20 to 500. 0: none.',
  )
  const failures = labelled(
    'Failures in a row',
    { type: 'number', min: '0', step: '1', inputmode: 'numeric', value: String(USUAL_MAX_FAILURES), class: 'number' },
    'It pauses when there are more, after the canary.',
  )
  const lag = labelled(
    'Lag, in seconds',
    { type: 'number', min: '0', step: 'any', inputmode: 'decimal', value: String(USUAL_YIELD_ABOVE), class: 'number' },
    'It rests while the stream is further behind. 0: it does not.',
  )
  const passing = ticked('Only those that would pass now')
  const topic = ticked('Publish to the topic, for its other consumers too')
  const because = labelled(
    'Why',
    { type: 'text', autocomplete: 'off', maxlength: '500' },
    'For the audit log. May be left empty.',
  )
  const confirm = confirmField()
  const line = cliLine()
  passing.input.checked = onlyPassing
  let preview
  let looking
  let asking = new AbortController()
  let timer

  const numberIn = ({ input }) => (input.value.trim() === '' ? undefined : Number(input.value))
  const request = () => ({
    q,
    rate: numberIn(rate),
    limit: numberIn(limit),
    to: topic.input.checked ? 'topic' : 'store',
    only_passing: passing.input.checked,
    canary: numberIn(canary),
    max_failures: numberIn(failures),
    yield_above: numberIn(lag),
  })

  const dialog = openDialog({
    title: 'Redrive',
    body: [
      words,
      toDom(h('div', { class: 'fields' }, rate.node, limit.node)),
      toDom(passing.node),
      toDom(topic.node),
      toDom(
        h(
          'details',
          { class: 'guard' },
          h('summary', {}, 'When it pauses and rests by itself'),
          h('div', { class: 'fields' }, canary.node, failures.node, lag.node),
        ),
      ),
      toDom(because.node),
      confirm.node,
      line.node,
    ],
    submit: 'Redrive',
    onSubmit: start,
    onClose: () => {
      clearTimeout(timer)
      asking.abort()
    },
  })

  async function look() {
    asking.abort()
    asking = new AbortController()
    const { signal } = asking
    clearTimeout(timer)
    timer = undefined
    preview = undefined
    words.dataset.busy = 'true'
    if (words.childElementCount === 0) put(words, h('p', { class: 'soft' }, 'Counting …'))
    try {
      const answer = await ask('/admin/dead-letters/replays', { body: { ...request(), dry_run: true }, signal })
      preview = answer.preview
      dialog.troubled()
      draw()
      dialog.titled(preview.count === 0 ? 'Nothing to redrive' : `Redrive ${letters(preview.count)}`)
      dialog.submits(preview.count === 0 ? 'Redrive' : `Redrive ${formatNumber(preview.count)}`)
      confirm.ask(preview.count)
    } catch (failure) {
      if (signal.aborted) return
      if (failure.title === undefined) throw failure
      put(words)
      dialog.troubled(...troubleWords(app, dialog, failure))
    } finally {
      if (!signal.aborted) delete words.dataset.busy
    }
  }

  function draw() {
    // The CLI requires an explicit filter, so an empty one is written out.
    line.say(dlqLine('redrive', q || 'state:open', ...flagsOf(request())))
    if (preview !== undefined) put(words, ...previewWords(preview, request()))
  }

  for (const { input } of [rate, canary, failures, lag, topic]) input.addEventListener('input', draw)
  for (const { input } of [limit, passing]) {
    input.addEventListener('input', () => {
      draw()
      preview = undefined
      clearTimeout(timer)
      timer = setTimeout(recount, TYPING_MS)
    })
  }
  function recount() {
    looking = look()
  }
  draw()
  rate.input.select()
  recount()

  async function start() {
    if (timer !== undefined) recount()
    await looking
    // The error of the count has already been shown.
    if (preview === undefined) return
    if (preview.count === 0) return dialog.troubled('There is nothing to redrive.')
    if ((numberIn(rate) ?? 1) <= 0) return dialog.troubled('A rate is above 0. Left empty, there is no limit.')
    if (!confirm.holds()) return dialog.troubled(confirm.words)
    await startRedrive(app, dialog, {
      ...request(),
      limit: preview.count,
      because: because.input.value.trim() || undefined,
    })
  }
}

/** Starts the redrive and opens its page; when another one is running, names it. */
export async function startRedrive(app, dialog, body) {
  try {
    const { replay: redrive } = await ask('/admin/dead-letters/replays', { body })
    forgetList()
    dialog.close()
    app.go({ view: 'replay', id: redrive.id })
  } catch (failure) {
    if (failure.title === undefined) throw failure
    dialog.troubled(...troubleWords(app, dialog, failure))
  }
}

function troubleWords(app, dialog, failure) {
  const { running } = failure.problem
  if (failure.code !== 'replay_running' || running === undefined) return [`${failure.title}. ${failure.message}`]
  const click = event => {
    event.preventDefault()
    dialog.close()
    app.go({ view: 'replay', id: running.id })
  }
  return [
    `A redrive of ${running.requested_by} is ${named(REDRIVE_STATES, running.state)}: ${doneWords(running)}. Only one runs at a time. `,
    h('a', { href: addressOf({ view: 'replay', id: running.id, stream: app.stream }), click }, 'Look at it'),
  ]
}

function flagsOf({ to, rate, limit, only_passing, canary, max_failures, yield_above }) {
  return [
    ...(to === 'topic' ? ['--to', to] : []),
    ...(rate === USUAL_RATE ? [] : ['--rate', rate === undefined ? 'off' : `${rate}/s`]),
    ...(canary === undefined ? [] : ['--canary', canary]),
    ...(max_failures === USUAL_MAX_FAILURES || max_failures === undefined ? [] : ['--max-failures', max_failures]),
    ...(yield_above === USUAL_YIELD_ABOVE || yield_above === undefined
      ? []
      : ['--yield-above', yield_above === 0 ? 'off' : `${yield_above}s`]),
    ...(limit === undefined ? [] : ['--limit', limit]),
    only_passing && '--only-passing',
  ]
}

/** How many would pass now; green only when all would. */
function checkWords(check) {
  if (check === null)
    return h(
      'p',
      { class: 'soft' },
      'How many would pass now is not known: Kafka, which has the bytes, does not answer.',
    )
  const { checked, passing, message } = check
  const level = passing === checked ? 'all' : passing === 0 ? 'none' : 'partly'
  return h('p', { class: 'check', 'data-verdict': level }, text(message), '.')
}

function previewWords({ count, by_reason, oldest, newest, left_out, held_by, check }, { to, rate }) {
  const one = count === 1
  const out = Object.entries(left_out).filter(([, n]) => n > 0)
  const leftOut =
    out.length === 0
      ? []
      : [h('p', {}, 'Left out: ', out.map(([why, n]) => `${formatNumber(n)} ${named(LEFT_OUT, why)}`).join('; '), '.')]
  const held = held_by.map(({ message }) => h('p', { class: 'held' }, text(message), '.'))
  if (count === 0) return [h('p', {}, 'None of what matches can be redriven.'), ...leftOut, ...held]
  const howLong = rate > 0 ? `, in about ${duration(Math.max(1, count / rate))}` : ''
  const reasons = Object.entries(by_reason).sort(([, a], [, b]) => b - a)
  return [
    h(
      'p',
      {},
      h('strong', {}, letters(count)),
      to === 'topic'
        ? ` ${one ? 'is' : 'are'} published again to ${one ? 'its' : 'their'} topic${howLong}, with key, value and headers as they were: its other consumers see ${one ? 'it' : 'them'} once more.`
        : ` ${one ? 'is' : 'are'} validated and stored${howLong}, at the position where ${one ? 'it' : 'each'} first stood. Other consumers of the topic notice nothing.`,
      ' A value that was stored newer since then stays as it is.',
    ),
    checkWords(check),
    h(
      'ul',
      { class: 'reasons' },
      ...reasons.map(([reason, n]) => h('li', {}, h('strong', {}, formatNumber(n)), ` ${reason}`)),
    ),
    h(
      'p',
      {},
      count === 1 ? 'It failed ' : 'The oldest failed ',
      age(oldest),
      ' ago',
      ...(count === 1 ? [] : [', the latest ', age(newest), ' ago']),
      '.',
    ),
    ...leftOut,
    ...held,
  ]
}
