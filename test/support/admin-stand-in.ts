import { systemClock } from '#src/clock.ts'
import type { Violation } from '#src/engine/dead-letter.ts'
import { HEADER } from '#src/engine/headers.ts'
import { type ManualPause, PauseRefusal, pauseOf } from '#src/engine/operator.ts'
import type { SourceRecord } from '#src/engine/record.ts'
import { ATTENTION, type ListedCause } from '#src/inbox/causes.ts'
import type { AdminParts } from '#src/inbox/http/admin.ts'
import { createAdminFeed } from '#src/inbox/http/admin-feed.ts'
import { createStreamOverview } from '#src/inbox/http/stream-overview.ts'
import { createTimeline } from '#src/inbox/http/timeline.ts'
import type { CheckedPage, DeadLetterStore } from '#src/inbox/ports.ts'
import type { Redrive, Redrives } from '#src/inbox/redrive-ports.ts'
import { createLetterSearch } from '#src/inbox/search.ts'
import type { AutomaticRedrive, AutomaticRedriveStatus, StoredStream, TimelineSource } from '#src/inbox/stream-ports.ts'
import { aLetter, createMemoryLetters, FIRST_FAILURE_MS, type Letter, type MemoryLetters } from './memory-letters.ts'
import { createMemoryRedrives, type MemoryRedrives } from './memory-redrives.ts'
import { createOrderJudge, maskPersonal } from './order.ts'

export type { Letter } from './memory-letters.ts'

/** Dead letters and redrives in memory: all that the admin API of a stream needs. */
export interface AdminStandIn extends AdminParts, Pick<MemoryLetters, 'rows' | 'log' | 'events' | 'starts'> {
  /** What is kept of a cause; a test may change it. */
  readonly causeOf: MemoryLetters['causes']['of']
  /** Bytes in the DLQ topic, by id. Deleting an entry removes the record from the topic. */
  readonly bytes: Map<string, SourceRecord>
  readonly running: Map<string, Redrive>
  readonly membersOf: MemoryRedrives['membersOf']
  /** What the time line is made of; empty until a test fills it. */
  readonly past: { -readonly [K in keyof TimelineSource]: TimelineSource[K] }
  /** Adds a dead letter. @returns its id */
  add(letter?: Partial<Letter> & { readonly value?: Buffer | null; readonly recordKey?: Buffer | null }): string
}

const judge = createOrderJudge({ maxBytes: 1024 * 1024 })

/** The parts that a test replaces. */
export type StandInParts = Partial<Omit<AdminParts, 'letters' | 'redrives'>> & {
  readonly letters?: Partial<DeadLetterStore>
  readonly redrives?: Partial<Redrives>
  /** The time of the first action, in ms since the epoch; each takes a second. */
  readonly nowMs?: number
}

export function adminStandIn({
  letters: ownLetters,
  redrives: ownRedrives,
  nowMs,
  ...parts
}: StandInParts = {}): AdminStandIn {
  const inbox = createMemoryLetters(nowMs)
  const { rows, log, events, starts, note } = inbox
  const bytes = new Map<string, SourceRecord>()
  const check = (id: string) => {
    const record = bytes.get(id)
    return record === undefined ? undefined : judge(record)
  }
  const {
    port: redrives,
    running,
    membersOf,
  } = createMemoryRedrives({
    letters: inbox,
    passes: id => check(id)?.ok,
    violations: id => violationsOf(check(id)),
  })
  const automatic = memoryAutomatic(note, inbox.at)
  const stored = memoryStored(note)
  const { overview, storeSilentMs } = createStreamOverview({
    ...{ topic: 'orders', groupId: 'holdfast', consumes: false, status: () => undefined, ready: [] },
    stored: {
      ...stored,
      deadLetters: async () => {
        const open = [...rows.values()].filter(({ state }) => state === 'open')
        const reasons = Map.groupBy(open, ({ reason }) => reason)
        return {
          open: new Map([...reasons].map(([reason, { length }]) => [reason, length])),
          parked: [...rows.values()].filter(({ state }) => state === 'parked').length,
          oldestFailedAtMs:
            open.length === 0 ? undefined : Math.min(...open.map(({ failed_at }) => Date.parse(failed_at))),
          attention: attentionOf(await inbox.causes.port.list()),
        }
      },
    },
    automatic,
    ends: () => new Map(),
    clock: { now: inbox.now, monotonic: () => performance.now(), sleep: systemClock.sleep },
  })
  const letters = { ...inbox.store, ...ownLetters }
  const records: AdminParts['records'] = parts.records ?? {
    async *read(places) {
      for (const { id } of places) {
        const record = bytes.get(id)
        if (record !== undefined) yield { id, record }
      }
    },
  }
  const past: AdminStandIn['past'] = {
    series: async () => ({ steps: [], stops: [] }),
    starts: async () => [],
    actions: async () => [],
  }
  const admin: AdminParts = {
    timeline: createTimeline(
      {
        series: (...asked) => past.series(...asked),
        starts: (...asked) => past.starts(...asked),
        actions: (...asked) => past.actions(...asked),
      },
      inbox,
    ),
    letters,
    records,
    search: createLetterSearch({ letters, records }),
    causes: inbox.causes.port,
    redrives: { ...redrives, ...ownRedrives },
    stored,
    automatic,
    overview,
    storeSilentMs,
    async *check(query): AsyncIterable<CheckedPage> {
      const { rows: page, next } = await inbox.store.page(query)
      const results = page.map(({ id }) => {
        const verdict = check(id)
        return { id, passes: verdict?.ok, violations: violationsOf(verdict) }
      })
      yield { results, next }
    },
    stream: { name: 'orders', judge, mask: maskPersonal, isKey: text => /^[A-Za-z0-9_-]{1,64}$/.test(text) },
    // A subscriber gets the state at once and nothing after it, because the sleep between two reads never ends.
    feed: createAdminFeed({
      clock: { sleep: (_ms, signal) => new Promise(resolve => signal?.addEventListener('abort', () => resolve())) },
      overview,
      redrives: redrives.list,
      onError() {},
    }),
    ...parts,
  }
  return {
    ...admin,
    rows,
    bytes,
    log,
    events,
    running,
    membersOf,
    starts,
    past,
    causeOf: inbox.causes.of,
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

function attentionOf(causes: readonly ListedCause[]): ReadonlyMap<string, number> {
  const asking = causes.filter(({ state, waiting }) => waiting > 0 && ATTENTION.some(name => name === state))
  return new Map([...Map.groupBy(asking, ({ state }) => state)].map(([state, { length }]) => [state, length]))
}

function violationsOf(verdict: ReturnType<typeof judge> | undefined): readonly Violation[] {
  return verdict === undefined || verdict.ok ? [] : verdict.rejection.violations
}

type Note = MemoryLetters['note']

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

function memoryStored(note: Note): Omit<StoredStream, 'deadLetters'> {
  const paused = new Map([[2, 1_000]])
  const held: ManualPause[] = []
  return {
    partitions: async () =>
      [0, 1, 2].map(partition => ({
        partition,
        next: BigInt(partition * 100),
        pausedFor: paused.has(partition) ? 'storm_guard' : undefined,
        pausedBecause: paused.has(partition) ? '1,000 dead letters in a row' : undefined,
        manualPause: pauseOf(held, partition),
        lastProgressMs: FIRST_FAILURE_MS,
      })),
    rate: async () => 12.5,
    async pause(partition, by) {
      if (partition !== undefined && partition > 2) throw new PauseRefusal('no_such_partition', 'there are 0 to 2')
      if (held.some(pause => pause.partition === partition)) throw new PauseRefusal('already_paused', 'it is paused')
      note('pause', 'topic:orders', by, { paused: 1 })
      const pause = { partition, by: by.who, because: by.because, sinceMs: FIRST_FAILURE_MS }
      held.push(pause)
      return pause
    },
    // The rule of scopes in short: `test/contract/stream-control.test.ts` is about the whole of it.
    async liftPauses(partition, lift, by) {
      const guarded = [...paused].filter(([candidate]) => partition === undefined || candidate === partition)
      const manual = held.filter(pause => partition === undefined || pause.partition === partition)
      if (lift === undefined && guarded.length > 0 && manual.length > 0) {
        throw new PauseRefusal('two_pauses', 'two kinds of pause are in force')
      }
      const fromGuard = lift === 'operator' ? [] : guarded
      const manually = lift === 'storm_guard' ? [] : manual
      for (const [candidate] of fromGuard) paused.delete(candidate)
      for (const pause of manually) held.splice(held.indexOf(pause), 1)
      note('resume', 'topic:orders', by, { lifted: fromGuard.length + manually.length })
      return {
        lifted: [
          ...manually.map(pause => ({ partition: pause.partition, kind: 'operator' as const, deadLettersInARow: 0 })),
          ...fromGuard.map(([candidate, deadLettersInARow]) => {
            return { partition: candidate, kind: 'storm_guard' as const, deadLettersInARow }
          }),
        ],
        remaining: [],
      }
    },
  }
}
