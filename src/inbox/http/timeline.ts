import type { Clock } from '../../engine/ports.ts'
import type { TimelineFigures } from '../../engine/watch/timeline.ts'
import type { TimelineSource } from '../stream-ports.ts'

/** What the console shows of a stream's past, by name: how long, and in which steps. None has more than 400. */
export const TIMELINE_SPANS = {
  '15m': { seconds: 900, stepSeconds: 10 },
  '1h': { seconds: 3_600, stepSeconds: 10 },
  '24h': { seconds: 86_400, stepSeconds: 300 },
  '7d': { seconds: 604_800, stepSeconds: 1_800 },
} as const
export type TimelineSpanName = keyof typeof TIMELINE_SPANS
export const USUAL_SPAN: TimelineSpanName = '1h'

/** The past of a stream as JSON. Lists of figures have one entry a step, the oldest first; `null`: nothing is known of the step. */
export interface TimelineJson {
  readonly span: TimelineSpanName
  readonly from: string
  /** The end of the step that is under way. */
  readonly to: string
  readonly step_seconds: number
  /** Records a second. */
  readonly rate: readonly (number | null)[]
  readonly lag_seconds: readonly (number | null)[]
  readonly lag_records: readonly (number | null)[]
  readonly dead_letters: readonly (number | null)[]
  /** What stood still, the longest first. */
  readonly stops: readonly {
    readonly kind: string
    readonly name: string
    readonly partitions: readonly number[]
    readonly from: string
    /** `null`: it still does. */
    readonly to: string | null
  }[]
  readonly starts: readonly {
    readonly at: string
    readonly version: string
    readonly count: number
    readonly deployed: boolean
  }[]
  readonly actions: readonly {
    readonly at: string
    readonly who: string
    readonly what: string
    readonly filter: string
    readonly because: string
  }[]
  /** Whether there are no more stops, starts and actions than these. */
  readonly complete: boolean
}

const MOST = { stops: 200, starts: 100, actions: 100 } as const
/** A stop that reaches up to so long ago is not over: its next step is not written yet. */
const GOES_ON_MS = 30_000

export type Timeline = (span: TimelineSpanName) => Promise<TimelineJson>

/** @throws StoreUnavailableError (the answer) */
export function createTimeline(source: TimelineSource, clock: Pick<Clock, 'now'>): Timeline {
  return async span => {
    const { seconds, stepSeconds } = TIMELINE_SPANS[span]
    const stepMs = stepSeconds * 1_000
    const nowMs = clock.now()
    const toMs = (Math.floor(nowMs / stepMs) + 1) * stepMs
    const window = { from: new Date(toMs - seconds * 1_000), to: new Date(toMs), stepSeconds }
    // One more of each shows that there are more.
    const [{ steps, stops }, starts, actions] = await Promise.all([
      source.series(window, MOST.stops + 1),
      source.starts(window, MOST.starts + 1),
      source.actions(window, MOST.actions + 1),
    ])
    const known = new Map(steps.map(figures => [figures.step, figures]))
    const listOf = (value: (figures: TimelineFigures) => number | undefined) =>
      Array.from({ length: seconds / stepSeconds }, (_, step) => {
        const figures = known.get(step)
        return figures === undefined ? null : rounded(value(figures))
      })
    return {
      span,
      from: window.from.toISOString(),
      to: window.to.toISOString(),
      step_seconds: stepSeconds,
      rate: listOf(({ rate }) => rate),
      lag_seconds: listOf(({ lagSeconds }) => lagSeconds),
      lag_records: listOf(({ lagRecords }) => lagRecords),
      dead_letters: listOf(({ deadLettered }) => deadLettered),
      stops: stops.slice(0, MOST.stops).map(({ from, to, ...stop }) => ({
        ...stop,
        from: from.toISOString(),
        to: nowMs - to.getTime() < GOES_ON_MS ? null : to.toISOString(),
      })),
      starts: starts.slice(0, MOST.starts).map(start => ({ ...start, at: start.at.toISOString() })),
      actions: actions.slice(0, MOST.actions).map(action => ({ ...action, at: action.at.toISOString() })),
      complete: stops.length <= MOST.stops && starts.length <= MOST.starts && actions.length <= MOST.actions,
    }
  }
}

function rounded(value: number | undefined): number | null {
  return value === undefined ? null : Math.round(value * 10) / 10
}
