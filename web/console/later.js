import { toDom } from '../dom.js'
import { h } from '../tree.js'
import { Failure } from './requests.js'

/**
 * A view whose code is loaded when it is opened, so that the console itself comes soon over a slow line.
 * @param {() => Promise<(app: any, place: any) => any>} loadView
 * @param {string} title
 */
export function later(loadView, title) {
  return (app, place) => {
    const node = toDom(h('div', {}))
    const closed = new AbortController()
    let view
    return {
      node,
      title,
      async load(signal) {
        const make = await loadView().catch(() => {
          throw new Failure(0)
        })
        if (closed.signal.aborted) return
        view ??= make(app, place)
        if (!node.contains(view.node)) node.append(view.node)
        await view.load(signal)
      },
      onEvent: (name, data) => view?.onEvent?.(name, data),
      dispose() {
        closed.abort()
        view?.dispose?.()
      },
    }
  }
}
