import { h } from '../tree.js'
import { absolute } from './parts.js'

const HEIGHT = 24
const BAR = 4
const GAP = 1
/** Space above the bars for the heads of the pins. */
const PIN = 6

export const sumOf = counts => counts.reduce((sum, count) => sum + count, 0)

/**
 * Bars, oldest on the left; where anything arrived at all, there is something to see. A pin stands where consumers were
 * started, a filled one where that was a deploy.
 * @param {number[]} counts
 * @param {string} words what the bars say
 * @param {{ step: number, version: string, count: number, at: string, deployed: boolean }[]} [starts]
 */
export function sparkline(counts, words, starts = []) {
  const most = Math.max(1, ...counts)
  const bars = counts.map((count, index) => {
    const height = count === 0 ? 1 : Math.max(2, (count / most) * HEIGHT)
    return h('rect', {
      class: count === 0 ? 'none' : 'some',
      x: String(index * (BAR + GAP)),
      y: String(HEIGHT - height),
      width: String(BAR),
      height: String(height),
    })
  })
  const pins = starts.map(({ step, deployed }) => {
    const x = step * (BAR + GAP) + BAR / 2
    return h('path', {
      class: deployed ? 'pin deployed' : 'pin',
      d: `M${x} ${HEIGHT}V0l-3 -5h6l-3 5`,
    })
  })
  const last = starts.at(-1)
  const said = last === undefined ? words : `${words}; ${startWords(last)}`
  const width = counts.length * (BAR + GAP) - GAP
  return h(
    'svg',
    {
      class: 'sparkline',
      viewBox: `0 ${-PIN} ${width} ${HEIGHT + PIN}`,
      width: String(width),
      height: String(HEIGHT + PIN),
      role: 'img',
      'aria-label': said,
    },
    h('title', {}, said),
    ...pins,
    ...bars,
  )
}

/** The last start, or the last of several in an hour. */
function startWords({ version, at, deployed }) {
  return `${version} ${deployed ? 'deployed' : 'restarted'} ${absolute(at)}`
}
