import { formatNumber } from '../format.js'
import { h, text } from '../tree.js'
import { button, put, redraw, redriveBadge } from './parts.js'
import { progressBar } from './redrive-progress.js'
import { STEP_HINTS, STEP_NAMES, steer, stepsOf } from './redrive-steps.js'
import { ask } from './requests.js'
import { doneWords, isFinal } from './words.js'

/** Redrives that are looked through at first; later changes arrive as events. */
const LOOKED_THROUGH = 100

/** Redrives that are under way or paused, in a line each above every view, but for the page of that redrive. */
export function createRedriveBar(place, app) {
  const shown = new Map()
  /** Bars are kept, so that they move. */
  const bars = new Map()
  let here

  function take(redrive) {
    if (isFinal(redrive.state)) shown.delete(redrive.id)
    else shown.set(redrive.id, redrive)
    draw()
  }

  function draw() {
    const rows = [...shown.values()].filter(({ id }) => id !== here)
    place.hidden = rows.length === 0
    redraw(place, () => put(place, ...rows.map(row)))
  }

  function row(redrive) {
    const { id, resolved, failed_again, parked, paused_because, waiting_for } = redrive
    if (!bars.has(id)) bars.set(id, progressBar())
    const bar = bars.get(id)
    bar.show(redrive)
    const why = paused_because?.message ?? waiting_for?.message
    const failed = failed_again + parked
    const counts = [
      doneWords(redrive),
      `${formatNumber(resolved)} resolved`,
      ...(failed === 0 ? [] : [`${formatNumber(failed)} failed again`]),
    ]
    const step = stepsOf(redrive).find(name => name !== 'cancel')
    return h(
      'div',
      { class: 'redrive-line', 'data-row': id },
      redriveBadge(redrive),
      app.link({ view: 'replay', id }, {}, 'Redrive ', h('code', {}, id)),
      bar.node,
      h('span', { class: 'soft' }, counts.join(', '), ...(why === undefined ? [] : ['; ', text(why)]), '.'),
      ...(step === undefined ? [] : [button(STEP_NAMES[step], press(redrive, step), { title: STEP_HINTS[step] })]),
    )
  }

  const press = (redrive, step) => async event => {
    const { currentTarget } = event
    currentTarget.disabled = true
    await steer(app, redrive, step, take)
    currentTarget.disabled = false
  }

  return {
    take,
    /** @param {string | undefined} id of the redrive whose page is shown */
    leaveOut(id) {
      here = id
      draw()
    },
    async load() {
      try {
        const { replays } = await ask('/admin/replays', { query: { limit: LOOKED_THROUGH } })
        for (const redrive of replays.toReversed()) take(redrive)
      } catch (failure) {
        // The events bring them once the database answers.
        if (failure.title === undefined) throw failure
      }
    },
  }
}
