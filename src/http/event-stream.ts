import type { ServerResponse } from 'node:http'
import type { Clock } from '../engine/ports.ts'

/** Those who watch a stream of server-sent events (HTML standard, §9.2). */
export interface Audience {
  /** Takes the answer over, and streams until either side goes away. False: there are too many already, or it is closed. */
  admit(res: ServerResponse): boolean
  /** To all of them; see {@link eventOf}. */
  tell(text: string): void
  readonly size: number
  /** Aborts with {@link Audience.close}. */
  readonly closing: AbortSignal
  /** Ends every stream and takes no more, so that none holds a shutdown up. Safe twice. */
  close(): void
}

export interface AudienceOptions {
  readonly clock: Pick<Clock, 'sleep'>
  readonly max: number
  /** What may wait for a slow client before it is dropped. */
  readonly maxBehindBytes: number
  /** The last client has gone. */
  readonly onEmpty?: () => void
}

/** Shorter than the 60 s after which common proxies cut an idle connection; also finds clients that are gone. */
const HEARTBEAT_MS = 15_000
const RETRY_MS = 2_000

export function createAudience({ clock, max, maxBehindBytes, onEmpty }: AudienceOptions): Audience {
  const watchers = new Set<ServerResponse>()
  const closing = new AbortController()
  let beating = false

  async function beat(): Promise<void> {
    beating = true
    while (watchers.size > 0) {
      await clock.sleep(HEARTBEAT_MS, closing.signal)
      tell(': still here\n\n')
    }
    beating = false
  }

  function tell(text: string): void {
    for (const res of watchers) {
      // One that does not read must not make us hold the stream for it; when it comes back it starts afresh.
      if (res.writableLength > maxBehindBytes) res.destroy()
      else res.write(text)
    }
  }

  return {
    admit(res) {
      if (closing.signal.aborted || watchers.size >= max) return false
      res.writeHead(200, {
        'Content-Type': 'text/event-stream; charset=utf-8',
        'Cache-Control': 'no-store',
        // nginx collects answers otherwise, and they would come in lumps.
        'X-Accel-Buffering': 'no',
      })
      res.write(`retry: ${RETRY_MS}\n\n`)
      watchers.add(res)
      res.once('close', () => {
        watchers.delete(res)
        if (watchers.size === 0) onEmpty?.()
      })
      if (!beating) void beat()
      return true
    },
    tell,
    get size() {
      return watchers.size
    },
    closing: closing.signal,
    close() {
      closing.abort()
      for (const res of watchers) res.end()
      watchers.clear()
    },
  }
}

/** JSON has no line breaks of its own, so that one line holds it all. */
export function eventOf(name: string, data: object): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}
