import { h } from '../tree.js'

const HEIGHT = 24
const BAR = 4
const GAP = 1

export const sumOf = counts => counts.reduce((sum, count) => sum + count, 0)

/** Bars, oldest on the left; where anything arrived at all, there is something to see. @param {number[]} counts */
export function sparkline(counts, words) {
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
  const width = counts.length * (BAR + GAP) - GAP
  return h(
    'svg',
    {
      class: 'sparkline',
      viewBox: `0 0 ${width} ${HEIGHT}`,
      width: String(width),
      height: String(HEIGHT),
      role: 'img',
      'aria-label': words,
    },
    h('title', {}, words),
    ...bars,
  )
}
