import type { Reason, Violation } from '#src/engine/dead-letter.ts'
import { UsageError } from '#src/engine/errors.ts'
import type { Operator } from '#src/engine/operator.ts'
import { timestampToInstant } from '#src/engine/timestamp.ts'
import { type DeadLetterFilter, printFilter } from '#src/inbox/filter.ts'
import { LETTER_MOVES, type StoredLetterState } from '#src/inbox/letter-states.ts'
import {
  ARRIVAL_STEPS,
  type AuditEntry,
  type ConsumerStarts,
  type DeadLetterArrivals,
  type DeadLetterEvent,
  type DeadLetterGroup,
  type DeadLetterRow,
  type DeadLetterStore,
  USUAL_SORT,
} from '#src/inbox/ports.ts'
import { takesLetter } from './filter-model.ts'
import type { LetterFields } from './letters.ts'
import { createMemoryCauses, type MemoryCauses } from './memory-causes.ts'

/** The index of dead letters in memory: `test/contract/dead-letter-store.suite.ts` holds it to what the real one promises. */
export interface MemoryLetters {
  readonly store: DeadLetterStore
  readonly rows: Map<string, MutableLetter>
  /** The audit log, oldest first. */
  readonly log: AuditEntry[]
  readonly events: Map<string, DeadLetterEvent[]>
  readonly starts: ConsumerStarts[]
  readonly causes: MemoryCauses
  /** Enters an action into the audit log. @returns its id */
  note(what: string, filter: string, by: Operator, counts: object): string
  /** Those that the filter takes, in no order. */
  matching(filter: DeadLetterFilter): MutableLetter[]
  now(): number
  /** The time of the next action, RFC 3339: each takes a second. */
  at(): string
}

export type Letter = DeadLetterRow & { readonly violations: readonly Violation[] }
export type MutableLetter = { -readonly [K in keyof Letter]: Letter[K] }

export const FIRST_FAILURE_MS = Date.UTC(2026, 0, 1)
const HOUR_MS = 3_600_000
const NUMBER = /^\d{1,18}$/

export function createMemoryLetters(nowMs = FIRST_FAILURE_MS + HOUR_MS): MemoryLetters {
  const rows: MemoryLetters['rows'] = new Map()
  const log: AuditEntry[] = []
  const events: MemoryLetters['events'] = new Map()
  const starts: ConsumerStarts[] = []
  /** What each discarded letter was before, and which action discarded it. */
  const discarded = new Map<string, { readonly action: string; readonly was: StoredLetterState }>()
  let now = nowMs

  function at(): string {
    now += 1_000
    return new Date(now).toISOString()
  }

  function matching(filter: DeadLetterFilter): MutableLetter[] {
    return [...rows.values()].filter(row => {
      const redrives = row.replay_id === null ? [] : [row.replay_id]
      return takesLetter(filter, { ...row, ageMs: now - Date.parse(row.failed_at), redrives }, now)
    })
  }

  function note(what: string, filter: string, { who, because }: Operator, counts: object): string {
    const id = String(log.length + 1)
    log.push({ id, at: at(), stream: 'orders', who, what, filter, because, counts: { ...counts } })
    return id
  }

  function happened(id: string, what: DeadLetterEvent['what'], by: Operator, detail: DeadLetterEvent['detail']): void {
    const event = { at: at(), what, who: by.who, detail: { because: by.because, ...detail } }
    events.set(id, [...(events.get(id) ?? []), event])
  }

  function move(row: MutableLetter, state: StoredLetterState): void {
    row.state = state
    row.state_changed_at = at()
  }

  const kept = createMemoryCauses({ rows, note, now: () => now })
  const store: DeadLetterStore = {
    async named(texts) {
      const keys = new Set([...rows.values()].map(({ key }) => key))
      return { ids: new Set(texts.filter(text => rows.has(text))), keys: new Set(texts.filter(text => keys.has(text))) }
    },
    async fieldValues() {
      const valuesOf = (column: 'reason' | 'error' | 'pointer' | 'source_topic' | 'source_partition') =>
        [...Map.groupBy(rows.values(), row => String(row[column]))]
          .sort(([a, one], [b, other]) => other.length - one.length || (a < b ? -1 : 1))
          .map(([value]) => value)
      return {
        reason: valuesOf('reason'),
        error: valuesOf('error'),
        pointer: valuesOf('pointer'),
        topic: valuesOf('source_topic'),
        partition: valuesOf('source_partition'),
      }
    },
    async groups(filter) {
      const causes = Map.groupBy(matching(filter), causeOf)
      return [...causes.values()]
        .map(letters => toGroup(letters, kept))
        .sort((a, b) => b.count - a.count || (causeOf(a) < causeOf(b) ? -1 : 1))
    },
    arrivals: async filter => ({ ...arrivalsOf(matching(filter), now), starts }),
    async page({ filter, limit, after, ...asked }) {
      const sort = after?.sort ?? asked.sort ?? USUAL_SORT
      const columns = sort.endsWith('failed_at') ? (['failed_at', 'id'] as const) : SOURCE
      const sign = sort.startsWith('-') ? -1 : 1
      const keysOf = (row: Letter) => columns.map(name => row[name])
      const all = matching(filter)
        .sort((a, b) => sign * compareKeys(keysOf(a), keysOf(b)))
        .filter(row => after === undefined || sign * compareKeys(keysOf(row), after.keys) > 0)
      const page = all.slice(0, limit)
      const places = page.map(row => ({ sort, keys: keysOf(row).map(String) }))
      return { rows: page.map(toRow), places, next: all.length > limit ? places.at(-1) : undefined }
    },
    async get(id) {
      const row = rows.get(id)
      return row === undefined ? undefined : { ...row }
    },
    async history(id) {
      const row = rows.get(id)
      if (row === undefined) return []
      const { first_failed_at: at, reason, error, pointer } = row
      return [{ at, what: 'failed', who: null, detail: { reason, error, pointer } }, ...(events.get(id) ?? [])]
    },
    async discard(filter, by) {
      const from: readonly StoredLetterState[] = LETTER_MOVES.discard.from
      const taken = matching(filter).filter(({ state }) => from.includes(state))
      const action = note('discard', printFilter(filter), by, { discarded: taken.length })
      for (const row of taken) {
        discarded.set(row.id, { action, was: row.state })
        happened(row.id, 'discarded', by, { action, was_state: row.state })
        move(row, 'discarded')
      }
      return { discarded: taken.length, action }
    },
    async restore(action, by) {
      if (!NUMBER.test(action)) throw new UsageError(`${JSON.stringify(action)} is no number of a discard`)
      const entry = log.find(({ id, what }) => id === action && what === 'discard')
      if (entry === undefined) throw new UsageError(`the audit log has no discard with the number ${action}`)
      const back = [...discarded].filter(([, taken]) => taken.action === action)
      const restoring = note('restore', entry.filter, by, { restored: back.length })
      for (const [id, { was }] of back) {
        discarded.delete(id)
        const row = rows.get(id)
        if (row === undefined) continue
        move(row, was)
        happened(id, 'restored', by, { action: restoring, state: was })
      }
      return { restored: back.length }
    },
    async noteRevealed(filter, ids, by) {
      if (ids.length === 0) return
      const known = ids.filter(id => rows.has(id))
      const action = note('reveal', filter, by, { revealed: known.length })
      for (const id of known) happened(id, 'revealed', by, { action })
    },
    async noteSearched(filter, by) {
      note('search', filter, by, {})
    },
    async audit({ limit, before, who, what, since, until }) {
      if (before !== undefined && !NUMBER.test(before)) throw new UsageError('the audit log is paged by numbers')
      const earlier = log.filter(entry => {
        const atMs = Date.parse(entry.at)
        return (
          (before === undefined || Number(entry.id) < Number(before)) &&
          (who?.includes(entry.who) ?? true) &&
          (what?.includes(entry.what) ?? true) &&
          (since === undefined || atMs >= Date.parse(since)) &&
          (until === undefined || atMs < Date.parse(until))
        )
      })
      return earlier.toReversed().slice(0, limit)
    },
  }
  return { store, rows, log, events, starts, causes: kept, note, matching, now: () => now, at }
}

/** By default a letter has partition 0 and this offset, and failed as many seconds after the first one. */
export function aLetter(offset: number): MutableLetter {
  const failedAt = new Date(FIRST_FAILURE_MS + offset * 1_000).toISOString()
  return {
    id: `orders-0-${offset}`,
    reason: 'schema_violation' satisfies Reason,
    error: 'required',
    pointer: '/track_number',
    message: '/track_number is missing',
    violations: [{ pointer: '/track_number', keyword: 'required', message: 'is missing' }],
    key: null,
    group_id: 'holdfast',
    source_topic: 'orders',
    source_partition: 0,
    source_offset: String(offset),
    source_timestamp: failedAt,
    first_failed_at: failedAt,
    failed_at: failedAt,
    attempts: 1,
    replay_count: 0,
    state: 'open',
    state_changed_at: failedAt,
    bytes: 100,
    written_by: 'holdfast',
    dlq_partition: 0,
    dlq_offset: String(offset),
    replay_id: null,
  }
}

/** A row of the database, as the port gives it. */
export function toLetter(row: LetterFields): MutableLetter {
  const { stream: _, failures: __, ...columns } = row
  return {
    ...columns,
    state: row.state as StoredLetterState,
    written_by: row.written_by as Letter['written_by'],
    violations: row.violations as Letter['violations'],
    source_offset: String(row.source_offset),
    source_timestamp: timestampToInstant(row.source_timestamp),
    dlq_offset: row.dlq_offset === null ? null : String(row.dlq_offset),
  }
}

const SOURCE = ['source_topic', 'source_partition', 'source_offset', 'id'] as const

/** Keys of one order of rows, some of them as text: the third of four is an offset, the second a partition. */
function compareKeys(a: readonly (string | number)[], b: readonly (string | number)[]): number {
  for (const [index, key] of a.entries()) {
    const other = b[index] ?? ''
    const isNumber = a.length === SOURCE.length && (index === 1 || index === 2)
    const [left, right] = isNumber ? [BigInt(key), BigInt(other)] : [key, other]
    if (left !== right) return left < right ? -1 : 1
  }
  return 0
}

function toRow({ violations: _, ...row }: Letter): DeadLetterRow {
  return row
}

function causeOf({ reason, error, pointer }: Pick<Letter, 'reason' | 'error' | 'pointer'>): string {
  return [reason, error, pointer].join('\0')
}

function toGroup(rows: readonly Letter[], causes: MemoryCauses): DeadLetterGroup {
  const latest = rows.toSorted((a, b) => compareKeys([b.failed_at, b.id], [a.failed_at, a.id]))[0]
  if (latest === undefined) throw new Error('a group has a member')
  const { reason, error, pointer, id, key, message } = latest
  const states = Object.fromEntries([...Map.groupBy(rows, ({ state }) => state)].map(([s, { length }]) => [s, length]))
  const span = { first_seen: rows.map(row => row.first_failed_at).sort()[0] ?? '', last_seen: latest.failed_at }
  return {
    reason,
    error,
    pointer,
    count: rows.length,
    states,
    ...span,
    sample: { id, key, message },
    cause: { ...causes.of(latest) },
  }
}

function arrivalsOf(rows: readonly Letter[], now: number): Omit<DeadLetterArrivals, 'starts'> {
  const since = Math.floor(now / HOUR_MS) * HOUR_MS - (ARRIVAL_STEPS - 1) * HOUR_MS
  const recent = rows.filter(({ first_failed_at }) => Date.parse(first_failed_at) >= since)
  const groups = [...Map.groupBy(recent, causeOf).values()].flatMap(letters => {
    const [first] = letters
    if (first === undefined) return []
    const counts = new Array<number>(ARRIVAL_STEPS).fill(0)
    for (const { first_failed_at } of letters) {
      // What is a little ahead of the day belongs to its last step.
      const step = Math.min(ARRIVAL_STEPS - 1, Math.floor((Date.parse(first_failed_at) - since) / HOUR_MS))
      counts[step] = (counts[step] ?? 0) + 1
    }
    return [{ reason: first.reason, error: first.error, pointer: first.pointer, counts }]
  })
  return { since: new Date(since).toISOString(), step_seconds: HOUR_MS / 1_000, groups }
}
