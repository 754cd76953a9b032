import { toDom } from '../dom.js'
import { formatNumber } from '../format.js'
import { h, text } from '../tree.js'
import { dlqLine, shellQuoted } from './cli-line.js'
import { openDiscard, undoButton } from './discard.js'
import { openEdit } from './edit-dialog.js'
import { filterOfGroup, term, USUAL } from './filter-text.js'
import { bytesOf } from './hex.js'
import { filterOfRows } from './list.js'
import { neighboursOf, remember } from './list-memory.js'
import { age, badge, button, bytes, card, copyButton, facts, moment, pointerWords, put } from './parts.js'
import { payloadView } from './payload.js'
import { openRedrive } from './redrive-dialog.js'
import { ask } from './requests.js'
import { WAITING } from './states.js'
import { EVENTS, named, REASONS, reasonGiven } from './words.js'

/** Fields of an event that are left out, because the page shows them elsewhere or they mean nothing to an operator. */
const UNSAID = new Set(['action', 'replay_count'])

/** Kafka returns a record within some ms. When it takes longer, the data of the index is shown meanwhile. */
const BYTES_MS = 400
const RETRY_MS = 5_000

const pathOf = id => `/admin/dead-letters/${encodeURIComponent(id)}`

/** One dead letter: the reason, the value, the history, and the possible actions. */
export function letterView(app, place) {
  const { id } = place
  const list = { ...place, view: 'list', id: undefined }
  const node = toDom(h('article', { class: 'letter', 'aria-labelledby': 'letter-title' }))
  const { before, after } = neighboursOf(id, place)
  let letter
  let check
  let revealed = false
  /** Whether Kafka, which has the bytes, cannot be reached. */
  let away = false
  let retry

  async function load(signal) {
    clearTimeout(retry)
    const query = revealed ? {} : { masked: 'true' }
    const whole = ask(pathOf(id), { query, signal })
    const ended = whole.then(
      () => true,
      failure => failure.code !== 'broker_unavailable',
    )
    const late = new Promise(resolve => setTimeout(() => resolve(false), BYTES_MS))
    if (!(await Promise.race([ended, late]))) {
      const known = await ask(pathOf(id), { query: { bytes: 'false' }, signal })
      // A record does not change: bytes that were read before are the same ones.
      letter = { ...letter, ...known }
      draw()
      if (signal?.aborted !== true) app.showsSome()
    }
    try {
      letter = await whole
      away = false
    } catch (failure) {
      if (failure.code !== 'broker_unavailable' || revealed) throw failure
      away = true
      retry = setTimeout(app.reload, RETRY_MS)
    }
    draw()
  }

  /** The server records in the audit log that the value was revealed. */
  async function reveal() {
    revealed = true
    try {
      await load()
      app.say('The value is shown in full.')
      node.querySelector('.payload')?.focus()
    } catch (failure) {
      revealed = false
      app.tell(`${failure.title}. ${failure.message}`)
    }
  }

  async function checkNow() {
    try {
      const { results } = await ask('/admin/dead-letters/check', { body: { q: filterOfRows([{ id, state: 'open' }]) } })
      check = results[0]
      draw()
      app.say(checkWords(check))
    } catch (failure) {
      app.tell(`${failure.title}. ${failure.message}`)
    }
  }

  const target = () => ({ q: filterOfRows([letter]), count: 1, words: 'this dead letter' })
  const redrive = () => openRedrive(app, target())
  const discard = () => openDiscard(app, target())
  const edit = () => openEdit(app, letter, revealed)

  function draw() {
    const { state, reason, message, violations = [], value } = letter
    const rules = check?.violations?.length > 0 ? check.violations : violations
    const acts = WAITING.includes(state)
    put(
      node,
      wayBack(),
      h(
        'header',
        { class: 'letter-head' },
        h(
          'div',
          {},
          h('h2', { id: 'letter-title', class: 'uid' }, text(id)),
          h('p', { class: 'meta' }, badge(state), ' failed ', age(letter.failed_at), ' ago'),
        ),
        h(
          'div',
          { class: 'actions' },
          button('Would it pass now?', checkNow),
          ...(acts
            ? [
                button('Redrive …', redrive),
                ...(value?.text === undefined ? [] : [button('Edit and redrive …', edit)]),
                button('Discard …', discard),
              ]
            : []),
          ...wayOut(),
        ),
      ),
      ...(check === undefined
        ? []
        : [h('p', { class: 'verdict alone', 'data-passes': String(check.passes ?? 'gone') }, checkWords(check))]),
      h(
        'div',
        { class: 'columns' },
        h('div', { class: 'wide-column' }, valueCard(value, rules), headersCard()),
        h('div', { class: 'side-column' }, whyCard(reason, message, rules), factsCard(), historyCard()),
      ),
    )
  }

  /** A discard is undone as a whole: dead letters that were discarded together are reopened together. */
  function wayOut() {
    const discarded = letter.history.findLast(({ what }) => what === 'discarded')
    if (letter.state !== 'discarded' || discarded?.detail.action === undefined) return []
    return [undoButton(app, String(discarded.detail.action), 'Take back what was discarded with it')]
  }

  function wayBack() {
    const step = (to, words, key) =>
      to === undefined ? undefined : app.link({ ...place, id: to }, { class: 'step', title: `Key ${key}` }, words)
    return h(
      'nav',
      { class: 'way', 'aria-label': 'List' },
      app.link(list, {}, '← Back to the list'),
      h(
        'span',
        { class: 'steps' },
        ...[step(before, 'Previous', 'k'), step(after, 'Next', 'j')].filter(part => part !== undefined),
      ),
    )
  }

  function whyCard(reason, message, rules) {
    return card(
      'Why it is here',
      h('p', { class: 'lead' }, reason, h('span', { class: 'sub' }, named(REASONS, reason))),
      h('p', {}, text(message)),
      // A single violation is already the message itself.
      ...(rules.length < 2 && check === undefined
        ? []
        : [
            h(
              'ul',
              { class: 'rules' },
              ...rules.map(rule =>
                h(
                  'li',
                  {},
                  h(
                    'code',
                    { title: pointerWords(rule.pointer) },
                    text(rule.pointer === '' ? '(the whole value)' : rule.pointer),
                  ),
                  ' ',
                  text(rule.message),
                  ' ',
                  h('code', { class: 'keyword' }, text(rule.keyword)),
                ),
              ),
            ),
          ]),
    )
  }

  /** Where the search page shows the stored value of this key. */
  const valueAddress = key =>
    `/?${new URLSearchParams(app.stream === undefined ? { key } : { stream: app.stream, key })}`

  function factsCard() {
    const { key, source_topic: topic, record_key: recordKey } = letter
    return card(
      'Record',
      facts([
        ['Key', key === null ? 'none that can be read' : h('a', { href: valueAddress(key) }, text(key))],
        ['Error', h('code', {}, text(letter.error))],
        ['Place', letter.pointer === '' ? undefined : h('code', {}, text(letter.pointer))],
        ['Source', h('code', {}, text(`${topic}-${letter.source_partition} @ ${letter.source_offset}`))],
        [
          'Dead letter',
          letter.dlq_offset == null ? undefined : h('code', {}, `${letter.dlq_partition} @ ${letter.dlq_offset}`),
        ],
        ['Record key', keyWords(recordKey)],
        ['Size', bytes(letter.bytes)],
        ['Sent', moment(letter.source_timestamp)],
        ['First failed', letter.first_failed_at === letter.failed_at ? undefined : moment(letter.first_failed_at)],
        ['Failed', moment(letter.failed_at)],
        ['Tries', letter.attempts],
        [
          'Redriven',
          letter.replay_count === 0
            ? 'never'
            : letter.replay_count === 1
              ? 'once'
              : `${formatNumber(letter.replay_count)} times`,
        ],
        [
          'Redrive',
          letter.replay_id == null
            ? undefined
            : app.link({ view: 'replay', id: letter.replay_id }, {}, letter.replay_id),
        ],
        ['Trace', traceWords(letter.trace)],
        ['Consumer group', letter.group_id],
        ['Written by', letter.written_by === 'holdfast' ? undefined : letter.written_by],
        ['Others', h('ul', { class: 'others' }, ...others().map(link => h('li', {}, link)))],
      ]),
    )
  }

  /** Links to related records: those with the same failure, those with the same key, and its neighbours in the partition. */
  function others() {
    const { key, source_topic: topic, source_partition: partition } = letter
    const link = (words, q, sort) => app.link({ view: 'list', q, sort }, {}, words)
    return [
      link('of this cause', filterOfGroup(USUAL, letter)),
      ...(key === null ? [] : [link('with this key', term('key', key))]),
      link('of this partition', `${term('topic', topic)} partition:${partition}`, 'source'),
    ]
  }

  function valueCard(value, rules) {
    if (value === undefined) {
      const words = away
        ? 'Kafka, which has the bytes, cannot be reached just now. They are shown here once it answers.'
        : 'Reading it from Kafka …'
      return card('Value', h('p', { class: 'soft' }, words))
    }
    if (value === null) {
      const words = letter.value_gone
        ? 'The record is no longer in the dead-letter topic: what is known of it is here, its value is not.'
        : 'The record had no value (a tombstone).'
      return card('Value', h('p', { class: 'soft' }, words))
    }
    const copies = [
      copyButton('Copy as JSON', () => JSON.stringify(letter, null, 2)),
      copyButton('Copy as curl', curl),
      copyButton('Copy as kcat', kcat),
    ]
    if (value.text === undefined && value.hex === undefined) {
      return card(
        'Value',
        h('p', {}, `These ${bytes(value.bytes)} are not text, so nothing in them can be masked.`),
        h('div', { class: 'actions' }, revealButton(), ...copies),
      )
    }
    const { tabs, body } = payloadView(value, rules)
    const masked = value.masked
      ? h('div', { class: 'masked' }, h('p', {}, 'Names, addresses and the like are masked.'), revealButton())
      : h(
          'p',
          { class: 'hint' },
          revealed ? 'Shown in full. The audit log says that you looked.' : 'Nothing in it had to be masked.',
        )
    return card(
      'Value',
      h(
        'div',
        { class: 'value-head' },
        tabs,
        h('span', { class: 'soft' }, bytes(value.bytes)),
        h('div', { class: 'actions' }, ...copies, button('Download', download)),
      ),
      masked,
      body,
    )
  }

  function revealButton() {
    return button('Reveal (the audit log notes it)', reveal, { id: 'reveal' })
  }

  function curl() {
    const query = new URLSearchParams(revealed ? {} : { masked: 'true' })
    if (app.stream !== undefined) query.set('stream', app.stream)
    const search = query.size === 0 ? '' : `?${query}`
    return `curl --header "Authorization: Bearer $HOLDFAST_KEY" ${shellQuoted(location.origin + pathOf(id) + search)}`
  }

  /** The original record in its source topic, as long as the topic retains it. */
  function kcat() {
    const { source_topic: topic, source_partition: partition, source_offset: offset } = letter
    return `kcat -C -b "$KAFKA_BROKERS" -t ${shellQuoted(topic)} -p ${partition} -o ${offset} -c 1 -e -f '%h\\n%k\\n%s\\n'`
  }

  /** The value as it is shown: byte for byte once it was revealed. */
  function download() {
    const { value } = letter
    const url = URL.createObjectURL(new Blob([value.text ?? bytesOf(value.hex)]))
    const ending = value.text === undefined ? 'bin' : letter.reason === 'malformed_json' ? 'txt' : 'json'
    toDom(h('a', { href: url, download: `${id}${value.masked ? '.masked' : ''}.${ending}` })).click()
    URL.revokeObjectURL(url)
  }

  function headersCard() {
    const { headers } = letter
    if (headers === undefined) return card('Headers', h('p', { class: 'soft' }, 'They come with the value.'))
    if (headers.length === 0) return card('Headers', h('p', { class: 'soft' }, 'The record has none.'))
    const rows = headers.flatMap(({ name, text: words, hex }) => [
      h('dt', {}, h('code', {}, text(name))),
      h(
        'dd',
        {},
        words === undefined
          ? h('code', { class: 'hex', title: 'Bytes that are no text' }, hex ?? 'masked')
          : h('code', {}, text(words)),
      ),
    ])
    return card('Headers', h('dl', { class: 'facts headers' }, ...rows))
  }

  function historyCard() {
    const sent = { at: letter.source_timestamp, what: 'sent', who: null, detail: {} }
    const entries = [sent, ...letter.history].map(({ at, what, who, detail }) =>
      h(
        'li',
        { 'data-what': what },
        h('p', {}, h('strong', {}, named(EVENTS, what)), ...(who === null ? [] : [' by ', text(who)])),
        h('p', { class: 'soft' }, moment(at)),
        ...detailWords(detail),
      ),
    )
    return card('History', h('ol', { class: 'history' }, ...entries))
  }

  function detailWords({ replay_id, because, reason, error, pointer, was_reason, was_error, was_pointer, ...detail }) {
    const cause = causeWords(reason, error, pointer)
    const before = causeWords(was_reason, was_error, was_pointer)
    const isNew = JSON.stringify(before) !== JSON.stringify(cause)
    const others = Object.entries(detail).filter(([name, value]) => !UNSAID.has(name) && value !== null && value !== '')
    const parts = [
      ...(cause === undefined ? [] : [cause]),
      ...(before !== undefined && isNew ? [['before: ', ...before]] : []),
      ...(reasonGiven(because ?? '') === undefined ? [] : [[text(because)]]),
      ...others.map(([name, value]) => [`${name.replaceAll('_', ' ')} `, text(String(value))]),
      ...(replay_id == null ? [] : [['redrive ', app.link({ view: 'replay', id: replay_id }, {}, replay_id)]]),
    ]
    if (parts.length === 0) return []
    return [h('p', { class: 'soft' }, ...parts.flatMap((part, index) => (index === 0 ? part : [' · ', ...part])))]
  }

  return {
    node,
    title: id,
    load,
    cli: () => dlqLine('show', id),
    keys: {
      r: () => letter !== undefined && redrive(),
      e() {
        remember(id)
        app.go(list)
      },
      j: () => after !== undefined && app.go({ ...place, id: after }),
      k: () => before !== undefined && app.go({ ...place, id: before }),
    },
    onEvent(name, data) {
      // The redrive of this record has progressed, so its history is loaded again.
      if (name === 'replay' && data.id === letter?.replay_id && letter.state === 'replaying') app.reload()
    },
    dispose() {
      clearTimeout(retry)
      remember(id)
    },
  }
}

function causeWords(reason, error, pointer) {
  if (reason === undefined || reason === null) return undefined
  return [text(reason), ...(error ? [' · ', text(error)] : []), ...(pointer ? [' at ', text(pointer)] : [])]
}

/** Links to the trace only when a viewer is configured and the trace was sampled: other traces are not stored. */
function traceWords(trace) {
  if (trace === null || trace === undefined) return undefined
  const id = h('code', { class: 'trace-id' }, trace.id)
  if (trace.url !== null) return h('a', { href: trace.url, rel: 'noreferrer', target: '_blank' }, id)
  return trace.sampled ? id : h('span', {}, id, h('span', { class: 'sub' }, 'not sampled: no trace was recorded'))
}

function keyWords(key) {
  // The record has not been fetched yet.
  if (key === undefined) return '–'
  if (key === null) return 'none'
  return h('code', {}, key.text === undefined ? (key.hex ?? `${key.bytes} bytes`) : text(key.text))
}

/** @param {{ passes?: boolean | null, violations?: any[] }} [result] */
function checkWords({ passes, violations = [] } = {}) {
  if (passes === undefined || passes === null)
    return 'Whether it would pass is not known: its record is gone from the topic.'
  if (passes) return 'Yes: it would pass now.'
  const [first] = violations
  return first === undefined ? 'No: it would fail again.' : `No: ${pointerWords(first.pointer)} ${first.message}.`
}
