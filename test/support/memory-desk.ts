import { systemClock } from '#src/clock.ts'
import type { Reason, Violation } from '#src/engine/dead-letter.ts'
import { UsageError } from '#src/engine/errors.ts'
import { HEADER } from '#src/engine/headers.ts'
import type { Operator } from '#src/engine/operator.ts'
import type { SourceRecord } from '#src/engine/record.ts'
import { type DeadLetterFilter, type FilterTerm, namesState, printFilter } from '#src/inbox/filter.ts'
import type { AdminParts } from '#src/inbox/http/admin.ts'
import { createAdminFeed } from '#src/inbox/http/admin-feed.ts'
import { createStreamOverview } from '#src/inbox/http/stream-overview.ts'
import {
  ARRIVAL_STEPS,
  type AuditEntry,
  type CheckedPage,
  type ConsumerStarts,
  type DeadLetterEvent,
  type DeadLetterGroup,
  type DeadLetterRow,
  type DeadLetterStore,
  NothingToReplayError,
  type Replay,
  type ReplayDesk,
  type ReplayPreview,
  type ReplayRequest,
  ReplayRunningError,
  USUAL_SORT,
} from '#src/inbox/ports.ts'
import type { AutomaticRedrive, AutomaticRedriveStatus, StreamBooks } from '#src/inbox/stream-ports.ts'
import { createOrderJudge, maskPersonal } from './order.ts'

/** Dead letters in memory, and the desk on which operators work. */
export interface MemoryDesk extends AdminParts {
  readonly rows: Map<string, MutableLetter>
  /** Bytes as they stand in the DLQ topic, by id. What is deleted is gone from there. */
  readonly bytes: Map<string, SourceRecord>
  readonly log: AuditEntry[]
  readonly events: Map<string, DeadLetterEvent[]>
  readonly running: Map<string, Replay>
  readonly starts: ConsumerStarts[]
  /** Sets one aside. @returns its id */
  add(letter?: Partial<Letter> & { readonly value?: Buffer | null; readonly recordKey?: Buffer | null }): string
}

export type Letter = DeadLetterRow & { readonly violations: readonly Violation[] }
type MutableLetter = { -readonly [K in keyof Letter]: Letter[K] }

const SOURCE = ['source_topic', 'source_partition', 'source_offset', 'id']
const judge = createOrderJudge({ maxBytes: 1024 * 1024 })
const FIRST_FAILURE_MS = Date.UTC(2026, 0, 1)
const HOUR_MS = 3_600_000

/** What of it a test does in another way. */
export type DeskParts = Partial<Omit<AdminParts, 'letters' | 'replays'>> & {
  readonly letters?: Partial<DeadLetterStore>
  readonly replays?: Partial<ReplayDesk>
  /** The time of the first action, in ms since the epoch; each takes a second. */
  readonly nowMs?: number
}

export function memoryDesk({
  letters: ownLetters,
  replays: ownReplays,
  nowMs = FIRST_FAILURE_MS + HOUR_MS,
  ...parts
}: DeskParts = {}): MemoryDesk {
  const rows = new Map<string, MutableLetter>()
  const bytes = new Map<string, SourceRecord>()
  const log: AuditEntry[] = []
  const events = new Map<string, DeadLetterEvent[]>()
  const discarded = new Map<string, string[]>()
  const running = new Map<string, Replay>()
  const starts: ConsumerStarts[] = []
  let now = nowMs
  const at = () => {
    now += 1_000
    return new Date(now).toISOString()
  }
  const automatic = memoryAutomatic(note, at)

  function matching(filter: DeadLetterFilter): MutableLetter[] {
    const newestFirst = (a: Letter, b: Letter) => (`${a.failed_at} ${a.id}` < `${b.failed_at} ${b.id}` ? 1 : -1)
    return [...rows.values()]
      .filter(row => filter.terms.every(term => holds(term, row, now) !== term.not))
      .sort(newestFirst)
  }

  function note(what: string, filter: string, by: Operator, counts: object): string {
    const id = String(log.length + 1)
    log.push({ id, at: at(), stream: 'orders', what, filter, ...by, counts: { ...counts } })
    return id
  }

  function happened(id: string, what: DeadLetterEvent['what'], by: Operator): void {
    events.set(id, [...(events.get(id) ?? []), { at: at(), what, who: by.who, detail: { because: by.because } }])
  }

  const letters: DeadLetterStore = {
    async groups(filter) {
      const groups = new Map<string, Letter[]>()
      for (const row of matching(filter)) {
        const key = JSON.stringify([row.reason, row.error, row.pointer])
        groups.set(key, [...(groups.get(key) ?? []), row])
      }
      return [...groups.values()].map(toGroup).sort((a, b) => b.count - a.count)
    },
    async arrivals(filter) {
      const since = Math.floor(now / HOUR_MS) * HOUR_MS - (ARRIVAL_STEPS - 1) * HOUR_MS
      const recent = matching(filter).filter(({ first_failed_at }) => Date.parse(first_failed_at) >= since)
      const causes = Map.groupBy(recent, ({ reason, error, pointer }) => JSON.stringify([reason, error, pointer]))
      return {
        since: new Date(since).toISOString(),
        step_seconds: HOUR_MS / 1000,
        starts,
        groups: [...causes].map(([cause, rows]) => {
          const [reason, error, pointer] = JSON.parse(cause)
          const counts = new Array<number>(ARRIVAL_STEPS).fill(0)
          for (const row of rows) {
            const step = Math.floor((Date.parse(row.first_failed_at) - since) / HOUR_MS)
            counts[step] = (counts[step] ?? 0) + 1
          }
          return { reason, error, pointer, counts }
        }),
      }
    },
    async page({ filter, limit, after, ...asked }) {
      const sort = after?.sort ?? asked.sort ?? USUAL_SORT
      const compared = sort.endsWith('failed_at') ? ['failed_at', 'id'] : SOURCE
      const keysOf = (row: Letter) => compared.map(name => String(Reflect.get(row, name)))
      const sign = sort.startsWith('-') ? -1 : 1
      const all = matching(filter)
        .sort((a, b) => sign * compareKeys(keysOf(a), keysOf(b)))
        .filter(row => after === undefined || sign * compareKeys(keysOf(row), after.keys) > 0)
      const page = all.slice(0, limit)
      const last = all.length > limit ? page.at(-1) : undefined
      return { rows: page.map(toRow), next: last && { sort, keys: keysOf(last) } }
    },
    get: async id => {
      const row = rows.get(id)
      return row === undefined ? undefined : { ...row }
    },
    history: async id => events.get(id) ?? [],
    async discard(filter, by) {
      const taken = matching(filter).filter(({ state }) => state === 'open' || state === 'parked')
      const action = note('discard', printFilter(filter), by, { discarded: taken.length })
      for (const row of taken) {
        row.state = 'discarded'
        happened(row.id, 'discarded', by)
      }
      discarded.set(
        action,
        taken.map(({ id }) => id),
      )
      return { discarded: taken.length, action }
    },
    async restore(action, by) {
      const ids = discarded.get(action)
      if (ids === undefined) throw new UsageError(`the audit log has no discard with the number ${action}`)
      const back = ids.flatMap(id => rows.get(id) ?? []).filter(({ state }) => state === 'discarded')
      for (const row of back) {
        row.state = 'open'
        happened(row.id, 'restored', by)
      }
      note('restore', '', by, { restored: back.length })
      return { restored: back.length }
    },
    async noteRevealed(filter, ids, by) {
      note('reveal', filter, by, { revealed: ids.length })
      for (const id of ids) happened(id, 'revealed', by)
    },
    audit: async ({ limit, before }) =>
      log
        .toReversed()
        .filter(({ id }) => before === undefined || Number(id) < Number(before))
        .slice(0, limit),
  }

  const replays: ReplayDesk = {
    preview: async request => previewOf(matching(request.filter), request),
    async start(request, by) {
      const busy = [...running.values()].find(({ state }) => state === 'queued' || state === 'running')
      if (busy !== undefined) throw new ReplayRunningError(busy)
      const preview = previewOf(matching(request.filter), request)
      if (preview.count === 0) throw new NothingToReplayError(preview)
      const id = `r${String(running.size + 1).padStart(10, '0')}`
      const replay: Replay = {
        ...{ id, state: 'running', filter: printFilter(request.filter), requested_by: by.who, because: by.because },
        ...{ automatic: false, only_passing: request.onlyPassing, edited: request.edited !== undefined },
        ...{ rate: request.rate ?? null, total: preview.count, pending: preview.count, published: 0, resolved: 0 },
        ...{
          failed_again: 0,
          parked: 0,
          skipped: 0,
          skipped_because: {},
          created_at: at(),
          started_at: at(),
          finished_at: null,
          error: null,
        },
      }
      running.set(id, replay)
      note('replay', replay.filter, by, { total: preview.count })
      return replay
    },
    get: async id => running.get(id),
    list: async limit => [...running.values()].toReversed().slice(0, limit),
    pause: (id, by) => steer(id, 'pause', ['queued', 'running'], { state: 'paused' }, by),
    resume: (id, by) => steer(id, 'resume', ['paused'], { state: 'running' }, by),
    cancel: (id, by) =>
      steer(id, 'cancel', ['queued', 'running', 'paused'], { state: 'cancelled', pending: 0, finished_at: at() }, by),
  }

  async function steer(
    id: string,
    what: string,
    from: readonly Replay['state'][],
    change: Partial<Replay>,
    by: Operator,
  ): Promise<Replay> {
    const replay = running.get(id)
    if (replay === undefined || !from.includes(replay.state)) {
      throw new UsageError(`the redrive ${id} is ${replay?.state}: it cannot be asked to ${what}`)
    }
    running.set(id, { ...replay, ...change })
    note(what, replay.filter, by, {})
    return { ...replay, ...change }
  }

  const books = memoryBooks(note)
  const { overview, storeSilentMs } = createStreamOverview({
    ...{ topic: 'orders', groupId: 'holdfast', consumes: false, status: () => undefined, ready: [] },
    books: {
      ...books,
      deadLetters: async () => {
        const open = [...rows.values()].filter(({ state }) => state === 'open')
        const reasons = Map.groupBy(open, ({ reason }) => reason)
        return {
          open: new Map([...reasons].map(([reason, { length }]) => [reason, length])),
          parked: [...rows.values()].filter(({ state }) => state === 'parked').length,
          oldestFailedAtMs:
            open.length === 0 ? undefined : Math.min(...open.map(({ failed_at }) => Date.parse(failed_at))),
        }
      },
    },
    automatic,
    ends: () => new Map(),
    clock: { now: () => now, monotonic: () => performance.now(), sleep: systemClock.sleep },
  })
  const desk: AdminParts = {
    letters: { ...letters, ...ownLetters },
    replays: { ...replays, ...ownReplays },
    books,
    automatic,
    overview,
    storeSilentMs,
    records: {
      async *read(places) {
        for (const { id } of places) {
          const record = bytes.get(id)
          if (record !== undefined) yield { id, record }
        }
      },
    },
    async *check(query): AsyncIterable<CheckedPage> {
      const { rows: page, next } = await letters.page(query)
      const results = page.map(({ id }) => {
        const record = bytes.get(id)
        const verdict = record === undefined ? undefined : judge(record)
        const violations = verdict === undefined || verdict.ok ? [] : verdict.rejection.violations
        return { id, passes: verdict?.ok, violations }
      })
      yield { results, next }
    },
    stream: { name: 'orders', judge, mask: maskPersonal, isKey: text => /^[A-Za-z0-9_-]{1,64}$/.test(text) },
    // Whoever watches is told at once how it is, and then of nothing: no time passes between two looks.
    feed: createAdminFeed({
      clock: { sleep: (_ms, signal) => new Promise(resolve => signal?.addEventListener('abort', () => resolve())) },
      overview,
      replays: replays.list,
      onError() {},
    }),
    ...parts,
  }
  return {
    ...desk,
    rows,
    bytes,
    log,
    events,
    running,
    starts,
    add({ value = Buffer.from('{"order_uid":"x"}'), recordKey = Buffer.from('x'), ...given } = {}) {
      const offset = rows.size
      const row = { ...aLetter(offset), ...given }
      rows.set(row.id, row)
      const headers = [[HEADER.id, Buffer.from(row.id)] as const, [HEADER.reason, Buffer.from(row.reason)] as const]
      const place = { topic: 'orders.dlq', partition: 0, offset: BigInt(offset), timestampMs: FIRST_FAILURE_MS }
      bytes.set(row.id, { ...place, key: recordKey, value, headers })
      return row.id
    },
  }
}

function aLetter(offset: number): MutableLetter {
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

/** Numbers as numbers, the rest as it stands. */
function compareKeys(a: readonly string[], b: readonly string[]): number {
  for (const [index, text] of a.entries()) {
    const other = b[index] ?? ''
    if (text === other) continue
    const areNumbers = /^\d+$/.test(text) && /^\d+$/.test(other)
    return (areNumbers ? Number(text) < Number(other) : text < other) ? -1 : 1
  }
  return 0
}

function toRow({ violations: _, ...row }: Letter): DeadLetterRow {
  return row
}

function toGroup(rows: readonly Letter[]): DeadLetterGroup {
  const [first] = rows
  if (first === undefined) throw new Error('a group has a member')
  const { reason, error, pointer, id, key, message } = first
  const states: Record<string, number> = {}
  for (const { state } of rows) states[state] = (states[state] ?? 0) + 1
  const seen = rows.map(row => row.failed_at).sort()
  const span = { first_seen: seen[0] ?? '', last_seen: seen.at(-1) ?? '' }
  return { reason, error, pointer, count: rows.length, states, ...span, sample: { id, key, message } }
}

function previewOf(
  rows: readonly Letter[],
  { filter, limit = Number.POSITIVE_INFINITY }: ReplayRequest,
): ReplayPreview {
  const may = rows.filter(({ state }) => state === 'open' || (state === 'parked' && namesState(filter, 'parked')))
  const taken = may.slice(0, limit)
  const by_reason: Record<string, number> = {}
  for (const { reason } of taken) by_reason[reason] = (by_reason[reason] ?? 0) + 1
  const times = taken.map(({ failed_at }) => failed_at).sort()
  const not_open = rows.length - may.length
  const over_limit = may.length - taken.length
  return {
    count: taken.length,
    by_reason,
    oldest: times[0] ?? null,
    newest: times.at(-1) ?? null,
    left_out: { ...(not_open > 0 ? { not_open } : {}), ...(over_limit > 0 ? { over_limit } : {}) },
  }
}

/** The terms that these tests need. */
function holds(term: FilterTerm, row: Letter, nowMs: number): boolean {
  const is = (values: readonly string[], text: string) =>
    values.some(pattern => (pattern.endsWith('*') ? text.startsWith(pattern.slice(0, -1)) : text === pattern))
  switch (term.field) {
    case 'reason':
      return is(term.values, row.reason)
    case 'state': {
      const again = row.replay_count > 0 && (row.state === 'open' || row.state === 'parked')
      return is(term.values, row.state) || (again && term.values.includes('failed_again'))
    }
    case 'error':
    case 'pointer':
    case 'id':
      return is(term.values, row[term.field])
    case 'key':
      return is(term.values, row.key ?? '')
    case 'topic':
      return is(term.values, row.source_topic)
    case 'partition':
      return term.values.includes(row.source_partition)
    case 'text':
      return `${row.message} ${row.error} ${row.pointer} ${row.key}`.includes(term.text)
    case 'age':
      return term.comparison.startsWith('>') === nowMs - Date.parse(row.failed_at) > term.ms
    case 'replays':
      return term.comparison.startsWith('>') === row.replay_count > term.count
    case 'replay':
      return is(term.values, row.replay_id ?? '')
  }
}

type Note = (what: string, filter: string, by: Operator, counts: object) => string

function memoryAutomatic(note: Note, at: () => string): AutomaticRedrive {
  let status: AutomaticRedriveStatus = { on: false, changed_by: null, changed_at: null, next_run: null }
  return {
    status: async () => status,
    async set(on, by) {
      note('automatic_redrive', '', by, { on })
      status = { on, changed_by: by.who, changed_at: at(), next_run: on ? at() : null }
      return status
    },
  }
}

function memoryBooks(note: Note): Omit<StreamBooks, 'deadLetters'> {
  const paused = new Map([[2, 1_000]])
  return {
    partitions: async () =>
      [0, 1, 2].map(partition => ({
        partition,
        next: BigInt(partition * 100),
        pausedFor: paused.has(partition) ? 'storm_guard' : undefined,
        pausedBecause: paused.has(partition) ? '1,000 dead letters in a row' : undefined,
        lastProgressMs: FIRST_FAILURE_MS,
      })),
    rate: async () => 12.5,
    async liftPauses(partition, by) {
      const lifted = [...paused].filter(([candidate]) => partition === undefined || candidate === partition)
      for (const [candidate] of lifted) paused.delete(candidate)
      note('resume', 'topic:orders', by, { lifted: lifted.length })
      return lifted.map(([partition, dead_letters_in_a_row]) => {
        return { partition, paused_for: 'storm_guard', dead_letters_in_a_row }
      })
    },
  }
}
