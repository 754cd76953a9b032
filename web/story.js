import { STATES } from './console/states.js'
import { EVENTS, named } from './console/words.js'
import { formatMoment } from './format.js'
import { h, text } from './tree.js'

/**
 * Where a value comes from and what became of records of its key, for the page and the server (`/view`) alike.
 * @param {any} story as `GET /view/story` serves it
 * @param {{ one: string, stream: string | undefined }} names `stream`: what links to the console name
 * @returns {import('./tree.js').Branch}
 */
export function storyCard({ stored, dead_letters: letters }, { one, stream }) {
  const moment = at => (at === null ? 'not known' : formatMoment(at, at))
  const rows =
    stored === null
      ? [h('p', {}, `No ${one} is stored under this key.`)]
      : [
          h(
            'dl',
            {},
            ...row('Record', text(stored.topic), `, partition ${stored.partition}, offset ${stored.offset}`),
            ...row('Record time', moment(stored.record_time)),
            ...row('Stored', moment(stored.stored_at)),
          ),
        ]
  return h(
    'section',
    { class: 'card story', 'aria-labelledby': 'story-title' },
    h('h3', { id: 'story-title' }, `How this ${one} came here`),
    ...rows,
    ...(letters === undefined ? [] : lettersOf(letters, stream)),
  )
}

function row(name, ...content) {
  return [h('dt', {}, name), h('dd', {}, ...content)]
}

function lettersOf(letters, stream) {
  if (letters.length === 0) return [h('p', { class: 'meta' }, 'No record of this key was set aside.')]
  const ofStream = stream === undefined ? '' : `&stream=${encodeURIComponent(stream)}`
  const event = ({ at, what, who, redrive }) =>
    h(
      'li',
      {},
      formatMoment(at, at),
      ' ',
      named(EVENTS, what),
      ...(who === null ? [] : [' by ', text(who)]),
      ...(redrive === null
        ? []
        : [', redrive ', h('a', { href: `/admin?replay=${encodeURIComponent(redrive)}${ofStream}` }, redrive)]),
    )
  return [
    h('p', { class: 'meta' }, 'Records of this key that were set aside as dead letters:'),
    h(
      'ol',
      { class: 'letters' },
      ...letters.map(({ id, url, reason, error, pointer, state, events }) =>
        h(
          'li',
          {},
          h('a', { href: url }, text(id)),
          `: ${named(STATES, state)}; ${reason} (${error}`,
          ...(pointer === '' ? [] : [' at ', text(pointer)]),
          ')',
          h('ol', { class: 'events' }, ...events.map(event)),
        ),
      ),
    ),
  ]
}
