import { toDom } from '../dom.js'
import { formatNumber } from '../format.js'
import { h, text } from '../tree.js'
import { openDiscard } from './discard.js'
import { hasWords, stateOf, withTerms } from './filter-text.js'
import { help } from './keys.js'
import { age, button, put, redraw } from './parts.js'
import { openRedrive } from './redrive-dialog.js'
import { ask } from './requests.js'
import { viewsRow } from './views.js'
import { letters, named, STATES } from './words.js'

/** A check reads each record from the topic, some thousands a second: this many go into one request, and each answer updates the progress. */
const CHECKED_AT_ONCE = 5_000

/**
 * The part that groups and list share: the filter, the number of matches, and the actions on them.
 * @param {any} app
 * @param {{ view: string, q: string }} place
 * @param {{ target: () => { q: string, sort?: string, count: number, words: string }, onChecked?: (results: any[]) => void }} hooks
 *   `target`: what an action on all of them would take
 */
export function createInbox(app, place, { target, onChecked = () => {} }) {
  const body = toDom(h('div', { class: 'inbox-body' }))
  const wrong = toDom(h('div', { class: 'wrong', id: 'filter-wrong', role: 'alert' }))
  const box = toDom(
    h('input', {
      id: 'filter',
      name: 'q',
      type: 'text',
      value: place.q,
      autocomplete: 'off',
      autocapitalize: 'none',
      autocorrect: 'off',
      spellcheck: 'false',
      enterkeyhint: 'search',
      placeholder: 'A key, an id, a word, or state:open reason:… after:2h',
      'aria-describedby': 'filter-wrong',
      role: 'combobox',
      'aria-autocomplete': 'list',
      'aria-controls': 'filter-proposals',
      'aria-expanded': 'false',
    }),
  )
  const proposals = toDom(h('ul', { id: 'filter-proposals', role: 'listbox', 'aria-label': 'Proposals', hidden: true }))
  // Loaded when it is needed, as are the parts below that few visits use.
  const complete = async () => (await import('./complete.js')).complete(box, proposals, app)
  box.addEventListener('focus', () => void complete(), { once: true })
  const views = viewsRow(app, place)
  const taken = toDom(h('p', { class: 'taken', role: 'status' }))
  const counted = toDom(h('span', { 'aria-live': 'polite' }))
  const summary = toDom(h('p', { class: 'summary' }, counted))
  const checked = toDom(h('p', { class: 'checked', role: 'status' }))
  const actions = toDom(h('div', { class: 'actions' }))
  const fresh = toDom(h('p', { class: 'fresh-note', role: 'status' }))
  const submit = event => {
    event.preventDefault()
    app.go({ ...place, q: box.value.trim() })
  }
  const node = toDom(
    h(
      'section',
      { 'aria-label': 'Dead letters' },
      h(
        'search',
        {},
        h(
          'form',
          { class: 'filter', submit },
          h('label', { for: 'filter', class: 'visually-hidden' }, 'Filter'),
          h('div', { class: 'combobox' }, box, proposals),
          h('button', { type: 'submit' }, 'Filter'),
          button('?', help, { 'aria-label': 'Keys and filters' }),
        ),
        wrong,
        taken,
        views,
        h('ul', { class: 'chips', 'aria-label': 'States' }, ...chips(app, place)),
      ),
      h('div', { class: 'inbox-head' }, summary, switchOf(app, place), actions),
      checked,
      fresh,
      body,
    ),
  )

  let checking = new AbortController()

  /** Checks all matches page by page, so that the progress is visible and the check can be stopped. */
  async function check({ q, sort, count }) {
    checking.abort()
    checking = new AbortController()
    const { signal } = checking
    const sum = { checked: 0, passing: 0, failing: 0, gone: 0 }
    const stop = toDom(button('Stop', () => checking.abort()))
    const far = toDom(h('span', {}, 'Reading them from the topic …'))
    put(checked, far, stop)
    try {
      let cursor
      do {
        const body = { q, sort, limit: CHECKED_AT_ONCE, cursor }
        const answer = await ask('/admin/dead-letters/check', { body, signal })
        for (const name of Object.keys(sum)) sum[name] += answer[name]
        onChecked(answer.results)
        cursor = answer.next ?? undefined
        far.textContent = `${formatNumber(sum.checked)} of ${formatNumber(Math.max(count, sum.checked))} read, ${formatNumber(sum.passing)} would pass …`
      } while (cursor !== undefined)
      done('')
    } catch (failure) {
      if (signal.aborted && checking.signal === signal) done('Stopped. ')
      else if (!signal.aborted) put(checked, `${failure.title}. ${failure.message}`)
    }

    function done(before) {
      const had = checked.contains(document.activeElement)
      put(
        checked,
        before + checkedWords(sum),
        ...(sum.passing === 0
          ? []
          : [button('Redrive only those that pass', () => openRedrive(app, { q }, { onlyPassing: true }))]),
      )
      // “Stop” has been removed, so the focus moves to the next button instead of getting lost.
      if (had) (checked.querySelector('button') ?? actions.querySelector('button'))?.focus()
    }
  }

  const isWrong = () => box.getAttribute('aria-invalid') === 'true'

  /** The actions on the matches. */
  function buttonsFor(taken) {
    const { words } = taken
    return [
      button('Would they pass now?', () => void check(taken), {
        title: 'Against today’s schema. Nothing is written.',
      }),
      button(`Redrive ${words} …`, () => openRedrive(app, taken)),
      button(`Discard ${words} …`, () => openDiscard(app, taken)),
    ]
  }

  return {
    node,
    body,
    buttonsFor,
    /** Shows what words without a field were taken for. @param {string} filter as the service understood it */
    understood(filter) {
      put(taken, ...(hasWords(place.q) ? ['Taken as ', h('code', {}, text(filter))] : []))
    },
    /**
     * Shows how far a search in values is.
     * @param {{ read: number, gone: number, found: number }} sum
     * @param {{ stop?: () => void, goOn?: () => void }} steps while it runs, it can be stopped; when it stopped, it can go on
     */
    searched({ read, gone, found }, { stop, goOn }) {
      const had = checked.contains(document.activeElement)
      const lost = gone === 0 ? '' : ` The values of ${formatNumber(gone)} are gone from the topic.`
      const end = stop === undefined ? (goOn === undefined ? '.' : ', and there are more.') : ' …'
      put(
        checked,
        `${formatNumber(read)} values read from the topic, ${formatNumber(found)} found${end}${lost} `,
        ...(stop === undefined ? [] : [button('Stop', stop)]),
        ...(goOn === undefined ? [] : [button('Search on', goOn)]),
      )
      // The button that was pressed is gone.
      if (had) checked.querySelector('button')?.focus()
    },
    /** @param {number} count how many match */
    matched(count, oldest) {
      const words = letters(count)
      if (counted.textContent !== words) counted.textContent = words
      // The age changes on the page without an announcement to screen readers.
      put(summary, counted, ...(oldest === undefined ? [] : [', the oldest failed ', age(oldest), ' ago']))
      redraw(actions, () => put(actions, ...(count === 0 ? [] : buttonsFor(target()))))
    },
    /** Runs what loads the view; an error in the filter is shown at the filter. */
    async loads(load) {
      try {
        await load()
        put(wrong)
        box.removeAttribute('aria-invalid')
      } catch (failure) {
        if (failure.code !== 'bad_filter') throw failure
        box.setAttribute('aria-invalid', 'true')
        put(wrong, ...wrongPlace(place.q, failure))
        put(taken)
        put(body)
        views.querySelector('.chip-button')?.remove()
        put(summary)
        put(actions)
        put(fresh)
        // Moves the focus only when no other element has it.
        if ([document.body, document.getElementById('view'), box].includes(document.activeElement)) {
          box.focus()
          box.setSelectionRange(indexOf(place.q, failure.problem.column), box.value.length)
        }
      }
    },
    /** Shows a notice that records arrived or changed, instead of moving the list while the user may be about to click. */
    changed(reload) {
      if (fresh.childElementCount > 0 || isWrong()) return
      put(
        fresh,
        'New dead letters. ',
        button('Show them', () => {
          put(fresh)
          reload()
        }),
      )
    },
    unchanged: () => put(fresh),
    isWrong,
    dispose: () => checking.abort(),
  }
}

function chips(app, place) {
  const now = stateOf(place.q)
  const chip = (state, words) => {
    const q = state === '' ? withTerms(place.q, 'state') : withTerms(place.q, 'state', `state:${state}`)
    return h('li', {}, app.link({ ...place, q }, { 'aria-current': now === state ? 'true' : undefined }, words))
  }
  return [...Object.keys(STATES).map(state => chip(state, named(STATES, state))), chip('', 'all')]
}

function switchOf(app, { view, q }) {
  const link = (name, words) =>
    app.link({ view: name, q }, { 'aria-current': view === name ? 'true' : undefined }, words)
  return h('nav', { class: 'switch', 'aria-label': 'Layout' }, link('groups', 'Causes'), link('list', 'Letters'))
}

/** Columns count characters from 1, and an index counts UTF-16 units. */
function indexOf(q, column) {
  return [...q].slice(0, column - 1).join('').length
}

/** The filter once more, with its fault marked at the column: 1 is the first character. */
function wrongPlace(q, { message, problem }) {
  const at = indexOf(q, problem.column)
  const rest = q.slice(at)
  const mark = /^\S+/.exec(rest)?.[0] ?? ' '
  return [
    h('p', {}, `Column ${problem.column}: ${message}`),
    h('pre', { 'aria-hidden': 'true' }, q.slice(0, at), h('mark', {}, mark), rest.slice(mark.length)),
  ]
}

function checkedWords({ checked, passing, failing, gone }) {
  if (checked === 0) return 'There was none to check.'
  const lost = gone === 0 ? '' : `; of ${formatNumber(gone)} the record is gone from the topic`
  return `Of ${letters(checked)}, ${formatNumber(passing)} would pass now, ${formatNumber(failing)} would not${lost}. `
}
