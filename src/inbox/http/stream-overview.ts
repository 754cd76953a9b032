import type { Figures } from '../../engine/figures.ts'
import type { Clock } from '../../engine/ports.ts'
import {
  type HealthCheck,
  lagSeconds,
  type PartitionStatus,
  type StreamState,
  type StreamStatus,
} from '../../engine/status.ts'
import { askAll, type HealthJson } from '../../http/health-json.ts'
import { createRemembered } from '../../http/remembered.ts'
import {
  type AutomaticRedrive,
  type AutomaticRedriveStatus,
  type ManualPauseJson,
  manualPauseJson,
  type PartitionProgress,
  type StoredStream,
} from '../stream-ports.ts'

/**
 * The stream at a glance, as JSON. What is not known, because it was never read or another process has it, is `null`. What the
 * database answered before it fell silent is repeated, with its age.
 */
export interface StreamOverview {
  readonly topic: string
  readonly group_id: string
  /** `elsewhere`: this process does not consume; other processes report their state only in the database. */
  readonly state: StreamState | 'elsewhere'
  /** Why it failed. */
  readonly error?: string
  /** Records a second, settled by all processes of the group in the last few seconds. */
  readonly rate: number | null
  /** Sum over the partitions that are known. */
  readonly lag_records: number | null
  readonly lag_seconds: number | null
  readonly breakers: readonly {
    readonly dependency: string
    readonly open: boolean
    readonly reason?: string
    readonly since?: string
  }[]
  readonly partitions: readonly PartitionJson[]
  readonly dead_letters: DeadLettersJson | null
  readonly automatic_redrive: AutomaticRedriveStatus | null
  readonly checks: readonly HealthJson[]
  /** Age of the figures that come from the database; `null`: it has never answered. */
  readonly age_seconds: Readonly<Record<'rate' | 'partitions' | 'dead_letters' | 'automatic_redrive', number | null>>
  /** For how long the database has answered none of these questions; 0 while it answers. */
  readonly store_silent_seconds: number
  /** Its dashboard, where GRAFANA_URL says where that is; `from` and `to` can be added, in ms since the epoch. */
  readonly grafana_url?: string
}

export interface DeadLettersJson {
  readonly open: number
  /** Counts of the open ones. */
  readonly by_reason: Readonly<Record<string, number>>
  readonly parked: number
  /** Since the failure of the open one that waits longest; `null` when none is open. */
  readonly oldest_age_seconds: number | null
  /** How many causes are in each state that asks for attention; states that none is in are absent. */
  readonly attention: Readonly<Record<string, number>>
}

export interface PartitionJson {
  readonly partition: number
  /** Whether this process has it in hand. */
  readonly here: boolean
  readonly next: string
  readonly high: string | null
  /** For how long the broker has not reported its end; absent if it did just now, or never. */
  readonly high_age_seconds?: number
  readonly lag_records: number | null
  readonly lag_seconds: number | null
  readonly paused: readonly string[]
  /** Why the storm guard stopped it, in a clause. */
  readonly paused_because?: string
  readonly paused_since?: string
  /** The pause by which an operator holds it; in force within seconds of its being made. */
  readonly operator_pause?: ManualPauseJson
  /** For how long nothing has come of its work, though all that it needs is there. */
  readonly stalled_seconds?: number
  /** Why only an operator can make it go on. */
  readonly halted?: string
  readonly unreadable?: string
  /** What its batch keeps failing with, though the database is there: other sessions hold a lock, mostly. */
  readonly contended?: string
  readonly last_progress_at: string | null
}

export interface OverviewParts {
  readonly topic: string
  readonly groupId: string
  /** `undefined`: this process does not consume. */
  readonly status: () => StreamStatus | undefined
  readonly consumes: boolean
  readonly stored: Pick<StoredStream, 'partitions' | 'rate' | 'deadLetters'>
  readonly automatic: Pick<AutomaticRedrive, 'status'>
  /** Where these partitions end, as far as that is known just now. Waits for nothing. */
  readonly ends: (partitions: readonly number[]) => ReadonlyMap<number, bigint>
  readonly ready: readonly HealthCheck[]
  readonly clock: Clock
  readonly grafanaUrl?: string | undefined
}

export interface OverviewSource {
  /** Answers within a moment, whatever the database does. Rejects with unexpected errors. */
  readonly overview: () => Promise<StreamOverview>
  /** For how long the database has owed an answer, in ms; 0 while it answers. Asks it, if no other request does. */
  readonly storeSilentMs: () => number
}

/** In-process figures wait no longer than this for the database's figures. */
const PATIENCE_MS = 300

export function createStreamOverview(parts: OverviewParts): OverviewSource {
  const { stored, automatic, clock, topic } = parts
  const partitions = createRemembered(() => stored.partitions(), clock)
  const rate = createRemembered(() => stored.rate(), clock)
  const deadLetters = createRemembered(() => stored.deadLetters(), clock)
  const redrive = createRemembered(() => automatic.status(), clock)
  const questions = [partitions, rate, deadLetters, redrive]
  // A single slow query is no silence: the others are answered in the meantime.
  const owedMs = () => Math.min(...questions.map(question => question.owedMs()))

  async function overview(): Promise<StreamOverview> {
    const answered = new AbortController()
    const all = Promise.all(questions.map(question => question.ask())).then(() => answered.abort())
    await Promise.race([all, clock.sleep(PATIENCE_MS, answered.signal)])
    for (const question of questions) {
      const bug = question.takeBug()
      if (bug !== undefined) throw bug
    }
    const status = parts.status()
    const now = clock.now()
    const own = status?.partitions.filter(one => one.topic === topic) ?? []
    const shown = merged(own, partitions.latest()?.value ?? [], parts.ends, now)
    const knownRate = rate.latest()?.value
    const letters = deadLetters.latest()?.value
    return {
      topic,
      group_id: parts.groupId,
      state: status?.state ?? (parts.consumes ? 'starting' : 'elsewhere'),
      ...(status?.error === undefined ? {} : { error: status.error }),
      rate: knownRate === undefined ? null : Math.round(knownRate * 10) / 10,
      lag_records: sum(shown.map(({ lag_records }) => lag_records)),
      lag_seconds: most(shown.map(({ lag_seconds }) => lag_seconds)),
      breakers: (status?.breakers ?? []).map(({ dependency, open, reason, sinceMs }) => ({
        dependency,
        open,
        ...(reason === undefined ? {} : { reason }),
        ...(sinceMs === undefined ? {} : { since: new Date(sinceMs).toISOString() }),
      })),
      partitions: shown,
      dead_letters: letters === undefined ? null : deadLettersJson(letters, now),
      automatic_redrive: redrive.latest()?.value ?? null,
      checks: askAll(parts.ready),
      age_seconds: {
        rate: ageOf(rate),
        partitions: ageOf(partitions),
        dead_letters: ageOf(deadLetters),
        automatic_redrive: ageOf(redrive),
      },
      store_silent_seconds: inSeconds(owedMs()),
      ...(parts.grafanaUrl === undefined ? {} : { grafana_url: parts.grafanaUrl }),
    }
  }

  return {
    overview,
    storeSilentMs() {
      // The cheapest of the questions.
      void partitions.ask()
      return owedMs()
    },
  }
}

function ageOf(question: { latest(): { readonly ageMs: number } | undefined }): number | null {
  const known = question.latest()
  return known === undefined ? null : inSeconds(known.ageMs)
}

function inSeconds(ms: number): number {
  return Math.round(ms / 100) / 10
}

function deadLettersJson(letters: Figures['deadLetters'], nowMs: number): DeadLettersJson {
  const { open, parked, oldestFailedAtMs, attention } = letters
  return {
    open: [...open.values()].reduce((total, count) => total + count, 0),
    by_reason: Object.fromEntries([...open].sort(([a], [b]) => (a < b ? -1 : 1))),
    parked,
    oldest_age_seconds: oldestFailedAtMs === undefined ? null : Math.max(0, (nowMs - oldestFailedAtMs) / 1000),
    attention: Object.fromEntries(attention),
  }
}

/** Ours as this process knows them; the others as the database does, with their ends from Kafka. */
function merged(
  own: readonly PartitionStatus[],
  stored: readonly PartitionProgress[],
  endsOf: OverviewParts['ends'],
  nowMs: number,
): PartitionJson[] {
  const here = new Set(own.map(({ partition }) => partition))
  const known = new Map(stored.map(progress => [progress.partition, progress]))
  const others = stored.filter(({ partition }) => !here.has(partition))
  const ends = endsOf(others.map(({ partition }) => partition))
  return [
    ...own.map(status => ownPartition(status, known.get(status.partition), nowMs)),
    ...others.map(progress => otherPartition(progress, ends.get(progress.partition))),
  ].sort((a, b) => a.partition - b.partition)
}

function otherPartition(progress: PartitionProgress, end: bigint | undefined): PartitionJson {
  const { partition, next, pausedFor, pausedBecause, manualPause, lastProgressMs } = progress
  // The end is of a moment ago: what was settled since lies beyond it.
  const high = end !== undefined && end < next ? next : end
  const lag = high === undefined ? null : Number(high - next)
  return {
    partition,
    here: false,
    next: String(next),
    high: high === undefined ? null : String(high),
    lag_records: lag,
    // The age of what waits, only the process knows that has the partition in hand.
    lag_seconds: lag === 0 ? 0 : null,
    paused: [...(pausedFor === undefined ? [] : [pausedFor]), ...(manualPause === undefined ? [] : ['operator'])],
    ...(pausedBecause === undefined ? {} : { paused_because: pausedBecause }),
    ...(manualPause === undefined ? {} : { operator_pause: manualPauseJson(manualPause) }),
    last_progress_at: new Date(lastProgressMs).toISOString(),
  }
}

/** The database is queried every two seconds, and an answer may take as long. */
const FRESH_MS = 5_000

/** @param stored what the database knew of it a moment ago: of a pause it is the first to know */
function ownPartition(status: PartitionStatus, stored: PartitionProgress | undefined, nowMs: number): PartitionJson {
  const { next, high, lagRecords, lastProgressMs, pausedBecause, pausedSinceMs, stalledMs } = status
  const highAgeMs = nowMs - (status.highKnownAtMs ?? nowMs)
  const manualPause = stored === undefined ? status.manualPause : stored.manualPause
  return {
    partition: status.partition,
    here: true,
    next: String(next),
    // The broker's last word may be older than what was settled since, whether or not it counts as fresh; and where the last
    // offsets hold no record, it ends beyond what is left to be read.
    high: high === undefined ? null : String(lagRecords === 0 || high < next ? next : high),
    ...(highAgeMs < FRESH_MS ? {} : { high_age_seconds: inSeconds(highAgeMs) }),
    lag_records: lagRecords ?? null,
    lag_seconds: lagSeconds(status, nowMs) ?? null,
    paused: status.paused,
    ...(pausedBecause === undefined ? {} : { paused_because: pausedBecause }),
    ...(pausedSinceMs === undefined ? {} : { paused_since: new Date(pausedSinceMs).toISOString() }),
    ...(manualPause === undefined ? {} : { operator_pause: manualPauseJson(manualPause) }),
    ...(stalledMs === undefined ? {} : { stalled_seconds: stalledMs / 1000 }),
    ...(status.halted === undefined ? {} : { halted: status.halted }),
    ...(status.unreadable === undefined ? {} : { unreadable: status.unreadable }),
    ...(status.contended === undefined ? {} : { contended: status.contended.reason }),
    last_progress_at: lastProgressMs === undefined ? null : new Date(lastProgressMs).toISOString(),
  }
}

function sum(values: readonly (number | null)[]): number | null {
  const known = values.filter(value => value !== null)
  return known.length === 0 ? null : known.reduce((total, value) => total + value, 0)
}

function most(values: readonly (number | null)[]): number | null {
  const known = values.filter(value => value !== null)
  return known.length === 0 ? null : Math.max(...known)
}
