import { createHash } from 'node:crypto'
import type { Operator } from '#src/engine/operator.ts'
import {
  type Cause,
  type CauseKey,
  type CauseState,
  type Causes,
  type ListedCause,
  requireChange,
} from '#src/inbox/causes.ts'
import type { DeadLetterRow } from '#src/inbox/ports.ts'
import { filterOfCause } from '#src/inbox/postgres/causes.ts'

export type MutableCause = { -readonly [K in keyof Cause]: Cause[K] }

export interface MemoryCauses {
  readonly port: Causes
  /** As it is kept; a test may change it. */
  of(key: CauseKey): MutableCause
}

interface Letters {
  readonly rows: ReadonlyMap<string, DeadLetterRow>
  note(what: string, filter: string, by: Operator, counts: object): string
  now(): number
}

function causeIdOf({ reason, error, pointer }: CauseKey): string {
  return `c${createHash('sha256').update([reason, error, pointer].join('\0')).digest('hex').slice(0, 12)}`
}

/** Causes in memory: what operators say of them is kept. What follows from the letters is not worked out, but that one is new or resolved. */
export function createMemoryCauses(letters: Letters): MemoryCauses {
  const kept = new Map<string, MutableCause>()
  const waits = ({ state }: DeadLetterRow) => state === 'open' || state === 'parked'

  function of(key: CauseKey): MutableCause {
    const id = causeIdOf(key)
    const rows = membersOf(key)
    const known = kept.get(id) ?? {
      ...{ id, version: null, owner: null, note: null, snoozed_until: null, snoozed_above: null },
      state: (rows.some(row => waits(row) || row.state === 'replaying') ? 'new' : 'resolved') satisfies CauseState,
      since: rows.map(row => row.first_failed_at).sort()[0] ?? new Date(letters.now()).toISOString(),
      ...{ changed_by: null, changed_at: null },
    }
    kept.set(id, known)
    return known
  }

  function membersOf({ reason, error, pointer }: CauseKey): DeadLetterRow[] {
    return [...letters.rows.values()].filter(
      row => row.reason === reason && row.error === error && row.pointer === pointer,
    )
  }

  function list(): ListedCause[] {
    const groups = Map.groupBy(letters.rows.values(), causeIdOf)
    return [...groups.values()]
      .flatMap(([first]) => (first === undefined ? [] : [listed(first)]))
      .sort((a, b) => b.waiting - a.waiting)
  }

  function listed(key: CauseKey): ListedCause {
    const { reason, error, pointer } = key
    const rows = membersOf(key)
    return { ...of(key), reason, error, pointer, waiting: rows.filter(waits).length, count: rows.length }
  }

  return {
    of,
    port: {
      refresh: async () => {},
      list: async () => list(),
      get: async id => list().find(cause => cause.id === id),
      async change(id, change, by) {
        requireChange(change)
        const found = list().find(cause => cause.id === id)
        if (found === undefined) return undefined
        const { state, snoozeSeconds, snoozeMore, owner, note } = change
        const now = letters.now()
        letters.note('cause', filterOfCause(found), by, { cause: id, ...(state && { state, was: found.state }) })
        Object.assign(of(found), {
          ...(state && {
            state,
            since: new Date(now).toISOString(),
            snoozed_until: snoozeSeconds === undefined ? null : new Date(now + snoozeSeconds * 1_000).toISOString(),
            snoozed_above: snoozeMore === undefined ? null : found.waiting + snoozeMore,
          }),
          ...(owner === undefined ? {} : { owner: owner || null }),
          ...(note === undefined ? {} : { note: note || null }),
          ...{ changed_by: by.who, changed_at: new Date(now).toISOString() },
        })
        return listed(found)
      },
    },
  }
}
