import type { Operator, Replay, ReplayDesk } from '../core/dead-letter-desk.ts'
import { StoreUnavailableError } from '../core/errors.ts'
import type { Clock } from '../engine/ports.ts'

export interface WatchParts {
  readonly desk: Pick<ReplayDesk, 'get' | 'pause'>
  readonly clock: Clock
  /** Ctrl-C: it is paused, and then the watch ends. */
  readonly interrupted: AbortSignal
  readonly operator: Operator
  /** How many consumers the group has just now; nobody else settles what was published. @throws BrokerUnavailableError */
  readonly consumers: () => Promise<number>
  readonly onProgress: (replay: Replay) => void
  /** Something that is worth a line. */
  readonly onNote: (line: string) => void
}

export interface Watched {
  readonly replay: Replay
  /** Published ones whose settlement nobody waits for any more. */
  readonly unsettled: number
}

const LOOK_EVERY_MS = 300
/** Without news for so long, it is asked whether there is a consumer at all. */
const PATIENCE_MS = 5_000

/**
 * Watches a redrive until there is nothing left to wait for: it is published and each record settled; or it was paused,
 * cancelled or failed; or it is published, and no consumer runs that could settle it. Waits while Postgres is away.
 */
export async function watchReplay(id: string, parts: WatchParts): Promise<Watched> {
  const { desk, clock, interrupted, onNote } = parts
  let pausing = false
  let away = false
  /** That it is stuck. */
  let told = false
  let news = ''
  let newsAtMs = clock.monotonic()
  for (;;) {
    const replay = await look()
    if (replay !== undefined) {
      parts.onProgress(replay)
      const latest = JSON.stringify(replay)
      if (latest !== news) {
        news = latest
        told = false
        newsAtMs = clock.monotonic()
      }
      const left = replay.published - replay.resolved - replay.failed_again - replay.parked
      if (replay.state === 'paused' || replay.state === 'cancelled' || replay.state === 'failed')
        return ended(replay, left)
      if (replay.state === 'done' && (left === 0 || interrupted.aborted)) return ended(replay, left)
      if (replay.state === 'done' && clock.monotonic() - newsAtMs > PATIENCE_MS) {
        if ((await parts.consumers().catch(() => undefined)) === 0) return ended(replay, left)
        if (!told)
          onNote('nothing is settled just now: "holdfast lag" says whether partitions are paused, and for what')
        told = true
        newsAtMs = clock.monotonic()
      }
      if (interrupted.aborted && !pausing && replay.state !== 'done') await pause()
    }
    // Once it was interrupted, the signal would end every wait at once.
    await clock.sleep(LOOK_EVERY_MS, pausing || interrupted.aborted ? undefined : interrupted)
  }

  async function look(): Promise<Replay | undefined> {
    try {
      const replay = await desk.get(id)
      if (away) onNote('Postgres is back')
      away = false
      return replay
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error
      // A request to pause cannot be left with anybody.
      if (interrupted.aborted) throw error
      if (!away) onNote('Postgres is away: waiting')
      away = true
      return undefined
    }
  }

  async function pause(): Promise<void> {
    pausing = true
    onNote('pausing at the end of the page in hand; once more to end at once')
    await desk.pause(id, parts.operator)
  }
}

function ended(replay: Replay, unsettled: number): Watched {
  return { replay, unsettled }
}
