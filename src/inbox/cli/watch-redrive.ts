import { StoreUnavailableError } from '../../engine/errors.ts'
import type { Operator } from '../../engine/operator.ts'
import type { Clock } from '../../engine/ports.ts'
import type { Redrive, Redrives } from '../redrive-ports.ts'

export interface WatchParts {
  readonly redrives: Pick<Redrives, 'get' | 'pause'>
  readonly clock: Clock
  /** Ctrl-C: the redrive is paused, and then the watch ends. */
  readonly interrupted: AbortSignal
  readonly operator: Operator
  /** How many consumers the group has now: only they settle what was published. @throws BrokerUnavailableError */
  readonly consumers: () => Promise<number>
  readonly onProgress: (redrive: Redrive) => void
  /** A remark for the terminal. */
  readonly onNote: (line: string) => void
}

export interface Watched {
  readonly redrive: Redrive
  /** How many were published and not settled when the watch ended. */
  readonly unsettled: number
}

const LOOK_EVERY_MS = 300
/** Without any change for this long, the group is asked whether it has a consumer. */
const PATIENCE_MS = 5_000

/**
 * Watches a redrive until there is nothing left to wait for: it is published and each record settled; or it was paused,
 * cancelled or failed; or it is published, and no consumer runs that could settle it. Waits while Postgres is away.
 */
export async function watchRedrive(id: string, parts: WatchParts): Promise<Watched> {
  const { redrives, clock, interrupted, onNote } = parts
  let pausing = false
  let away = false
  /** That nothing is settled was reported, and nothing has changed since. */
  let reported = false
  let news = ''
  let newsAtMs = clock.monotonic()
  for (;;) {
    const redrive = await look()
    if (redrive !== undefined) {
      parts.onProgress(redrive)
      const latest = JSON.stringify(redrive)
      if (latest !== news) {
        news = latest
        reported = false
        newsAtMs = clock.monotonic()
      }
      const left = redrive.published - redrive.resolved - redrive.failed_again - redrive.parked
      if (redrive.state === 'paused' || redrive.state === 'cancelled' || redrive.state === 'failed')
        return ended(redrive, left)
      if (redrive.state === 'done' && (left === 0 || interrupted.aborted)) return ended(redrive, left)
      if (redrive.state === 'done' && clock.monotonic() - newsAtMs > PATIENCE_MS) {
        if ((await parts.consumers().catch(() => undefined)) === 0) return ended(redrive, left)
        if (!reported) onNote('nothing is being settled: "holdfast lag" says whether partitions are paused, and why')
        reported = true
        newsAtMs = clock.monotonic()
      }
      if (interrupted.aborted && !pausing && redrive.state !== 'done') await pause()
    }
    // After the interrupt, the signal would end every wait at once.
    await clock.sleep(LOOK_EVERY_MS, pausing || interrupted.aborted ? undefined : interrupted)
  }

  async function look(): Promise<Redrive | undefined> {
    try {
      const redrive = await redrives.get(id)
      if (away) onNote('Postgres is back')
      away = false
      return redrive
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error
      // A pause cannot be requested without the database.
      if (interrupted.aborted) throw error
      if (!away) onNote('Postgres is away: waiting')
      away = true
      return undefined
    }
  }

  async function pause(): Promise<void> {
    pausing = true
    onNote('pausing at the end of the current page; Ctrl-C again ends at once')
    await redrives.pause(id, parts.operator)
  }
}

function ended(redrive: Redrive, unsettled: number): Watched {
  return { redrive, unsettled }
}
