import { readEvents } from '../events.js'
import { answerTo } from './requests.js'

const RETRY_MS = 1_000
const RETRY_MAX_MS = 15_000

/**
 * Reads the service's events (`GET /admin/events`) while the page is visible, and reconnects by itself.
 * @param {(name: string, data: any) => void} onEvent
 * @param {(state: 'on' | 'off' | 'refused', seconds?: number) => void} onChange `off` names the wait before the next
 *   attempt; after `refused`, for want of a key, there is none
 */
export function connect(onEvent, onChange) {
  let connection
  let retryMs = RETRY_MS
  let timer

  async function run() {
    clearTimeout(timer)
    connection?.abort()
    if (document.hidden) return
    const mine = new AbortController()
    connection = mine
    try {
      const response = await answerTo('/admin/events', { signal: mine.signal })
      retryMs = RETRY_MS
      onChange('on')
      await readEvents(response, onEvent, ms => {
        retryMs = ms
      })
      throw new Error('the stream has ended')
    } catch (failure) {
      if (mine.signal.aborted || connection !== mine) return
      // Without a key there is nothing to come back for: giving one starts it again.
      if (failure.status === 401 || failure.status === 403) return onChange('refused')
      onChange('off', Math.round(retryMs / 1000))
      timer = setTimeout(run, retryMs)
      retryMs = Math.min(retryMs * 2, RETRY_MAX_MS)
    }
  }

  // A hidden tab holds no connection: browsers allow a site six of them, over all its tabs.
  const onVisible = () => (document.hidden ? connection?.abort() : void run())
  document.addEventListener('visibilitychange', onVisible)
  addEventListener('pagehide', () => connection?.abort())
  addEventListener('online', () => void run())
  return {
    start: () => void run(),
    stop() {
      clearTimeout(timer)
      connection?.abort()
      connection = undefined
    },
  }
}
