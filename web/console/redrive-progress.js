import { toDom } from '../dom.js'
import { h } from '../tree.js'
import { doneWords } from './words.js'

const PARTS = ['resolved', 'failed_again', 'parked', 'skipped', 'under_way']

/** All states of a member, so that the parts add up to the total. */
export function countsOf({ resolved, failed_again, parked, skipped, released, pending, published }) {
  const under_way = Math.max(0, published - resolved - failed_again - parked)
  return { resolved, failed_again, parked, skipped, under_way, pending, released }
}

/** A bar whose parts are what became of the members. */
export function progressBar() {
  const segments = PARTS.map(name => toDom(h('span', { 'data-part': name })))
  const node = toDom(
    h('div', { class: 'progress', role: 'progressbar', 'aria-label': 'Redriven', 'aria-valuemin': '0' }, ...segments),
  )
  return {
    node,
    show(redrive) {
      const { total, published, skipped } = redrive
      const counts = countsOf(redrive)
      for (const segment of segments)
        segment.style.width = `${total === 0 ? 0 : (counts[segment.dataset.part] / total) * 100}%`
      node.setAttribute('aria-valuemax', String(total))
      node.setAttribute('aria-valuenow', String(published + skipped))
      node.setAttribute('aria-valuetext', doneWords(redrive))
    },
  }
}
