import type { AdminParts } from '#src/inbox/http/admin.ts'
import { createAdminFeed } from '#src/inbox/http/admin-feed.ts'
import type { StreamOverview } from '#src/inbox/http/stream-overview.ts'
import { judgeOutcomes, NOTHING_COUNTED, restsFor, verdictOf } from '#src/inbox/redrive-guard.ts'
import type { Redrive } from '#src/inbox/redrive-ports.ts'
import { type AdminStandIn, adminStandIn, type Letter } from '../support/admin-stand-in.ts'
import { createOrderJudge } from '../support/order.ts'
import { MODEL } from './pages.ts'

/** The parts of the admin API in memory, whose stream and redrives a test moves by hand: for states that are hard to reach on real servers. */
export interface ConsoleStandIn extends AdminStandIn {
  /** What `GET /admin/stream` tells, but for the dead letters, which are counted. */
  readonly glance: { -readonly [K in keyof StreamOverview]?: StreamOverview[K] }
  /** The next `count` of a redrive are published, and settled: what passes is resolved, the others fail again. */
  advance(id: string, count: number): void
  /** It has redriven its canary, half of which failed again, and pauses itself. */
  failsCanary(id: string): void
  /** It rests because the stream is behind; `undefined`: it goes on. */
  rests(id: string, lagSeconds: number | undefined): void
}

const LOOKS_FASTER = 10
const judge = createOrderJudge({ maxBytes: 1024 * 1024 })

export function consoleStandIn(nowMs = Date.now()): ConsoleStandIn {
  const base = adminStandIn({ nowMs })
  const glance: ConsoleStandIn['glance'] = { ...RUNNING }
  const { redrives, running, membersOf, rows, bytes } = base

  function passes(id: string): boolean {
    const record = bytes.get(id)
    return record !== undefined && judge(record).ok
  }

  /** A worker takes it at once. */
  function taken(queued: Redrive): Redrive {
    const redrive: Redrive = { ...queued, state: 'running', started_at: queued.started_at ?? queued.created_at }
    running.set(redrive.id, redrive)
    return redrive
  }

  const overview = async (): Promise<StreamOverview> => ({ ...(await base.overview()), ...glance })
  const parts: Pick<AdminParts, 'redrives' | 'overview' | 'feed'> = {
    overview,
    redrives: {
      ...redrives,
      start: async (request, by) => taken(await redrives.start(request, by)),
      resume: async (id, by) => taken(await redrives.resume(id, by)),
    },
    feed: createAdminFeed({
      clock: { sleep: (ms, signal) => sleep(ms / LOOKS_FASTER, signal) },
      overview,
      redrives: redrives.list,
      onError(error) {
        throw error
      },
    }),
  }

  function known(id: string): Redrive {
    const redrive = running.get(id)
    if (redrive === undefined) throw new Error(`there is no redrive ${id}`)
    return redrive
  }

  return {
    ...base,
    ...parts,
    glance,
    failsCanary(id) {
      const redrive = known(id)
      const { canary } = redrive
      const failed = Math.ceil(canary / 2)
      const failure = { reason: 'schema_violation', error: 'format', pointer: '/delivery/email' }
      const outcomes = Array.from({ length: canary }, (_, n) => ({ failure: n < failed ? failure : undefined }))
      const rules = { canary, maxFailures: redrive.max_failures, yieldAboveSeconds: redrive.yield_above }
      const { pause = null } = judgeOutcomes(NOTHING_COUNTED, rules, outcomes, canary)
      const counts = {
        published: canary,
        pending: redrive.total - canary,
        resolved: canary - failed,
        failed_again: failed,
      }
      running.set(id, { ...redrive, ...counts, state: 'paused', paused_because: pause })
    },
    rests(id, lagSeconds) {
      const redrive = known(id)
      const rules = { canary: 0, maxFailures: null, yieldAboveSeconds: redrive.yield_above }
      running.set(id, { ...redrive, waiting_for: restsFor(rules, lagSeconds) ?? null })
    },
    advance(id, count) {
      const redrive = known(id)
      const set = membersOf(id)
      const from = redrive.published
      const now = new Date().toISOString()
      let { resolved, failed_again } = redrive
      for (const member of set.slice(from, from + count)) {
        const row = rows.get(member)
        if (row === undefined) continue
        const ok = redrive.edited || passes(member)
        if (ok) resolved += 1
        else failed_again += 1
        row.state = ok ? 'resolved' : 'open'
        row.replay_id = id
        if (!ok) row.replay_count += 1
        const events = base.events.get(member) ?? []
        events.push({ at: now, what: 'replayed', who: redrive.requested_by, detail: { replay_id: id } })
        events.push({ at: now, what: ok ? 'resolved' : 'failed_again', who: null, detail: { replay_id: id } })
        base.events.set(member, events)
      }
      const published = Math.min(set.length, from + count)
      const done = published === set.length
      const ends: Partial<Redrive> = done ? { state: 'done', finished_at: now } : {}
      const next = { ...redrive, published, pending: set.length - published, resolved, failed_again, ...ends }
      running.set(id, { ...next, verdict: verdictOf({ ...next, isOver: done }) })
    },
  }
}

const RUNNING: Partial<StreamOverview> = {
  state: 'running',
  rate: 1_240,
  lag_records: 312,
  lag_seconds: 0.4,
  breakers: [
    { dependency: 'postgres', open: false },
    { dependency: 'kafka', open: false },
    { dependency: 'dlq', open: false },
  ],
  partitions: Array.from({ length: 6 }, (_, partition) => ({
    partition,
    here: true,
    next: String(120_400 + partition * 17),
    high: String(120_452 + partition * 17),
    lag_records: 52,
    lag_seconds: 0.4,
    paused: [],
    last_progress_at: new Date().toISOString(),
  })),
  checks: [],
}

const HOUR_MS = 3_600_000

/**
 * A thousand of three causes, as a bad afternoon leaves them: 550 orders without an amount, 300 whose e-mail is no address
 * (of which 120 have been mended at the source, so that they pass), 150 that are not UTF-8.
 */
export function fillWithThousand(inbox: AdminStandIn): void {
  fillWith(inbox, 1_000)
}

/** So many of those. */
export function fillWith(inbox: AdminStandIn, count: number, nowMs = Date.now()): void {
  const at = (index: number) => nowMs - 4 * HOUR_MS + index * 12_000 + (index % 7) * 900
  for (let index = 0; index < count; index++) {
    const uid = `b563feb7b2b84b6${index.toString(16).padStart(5, '0')}`
    const kind = index % 20 < 11 ? 'amount' : index % 20 < 17 ? 'email' : 'bytes'
    const failedAt = new Date(at(index)).toISOString()
    const partition = index % 6
    const where: Partial<Letter> = {
      id: `orders-${partition}-${120_000 + index}`,
      key: kind === 'bytes' ? null : uid,
      source_partition: partition,
      source_offset: String(120_000 + index),
      source_timestamp: failedAt,
      first_failed_at: failedAt,
      failed_at: failedAt,
      state_changed_at: failedAt,
    }
    inbox.add({ ...where, ...CAUSES[kind](uid, index) })
  }
}

type Given = Parameters<AdminStandIn['add']>[0]

const CAUSES: Readonly<Record<'amount' | 'email' | 'bytes', (uid: string, index: number) => Given>> = {
  amount: uid => {
    const { amount: _, ...payment } = MODEL.payment
    return {
      recordKey: Buffer.from(uid),
      ...valued({ ...MODEL, order_uid: uid, payment }),
      ...cause('schema_violation', 'required', '/payment/amount', '/payment/amount is missing', 'is missing'),
    }
  },
  email: (uid, index) => {
    // Over the six of each twenty, two in five.
    const mended = Math.floor(index / 20) % 5 < 2
    const email = mended ? MODEL.delivery.email : 'test at gmail'
    return {
      recordKey: Buffer.from(uid),
      ...valued({ ...MODEL, order_uid: uid, delivery: { ...MODEL.delivery, email } }),
      ...cause(
        'schema_violation',
        'format',
        '/delivery/email',
        '/delivery/email must be an email address',
        'must be an email address',
      ),
    }
  },
  bytes: uid => {
    const text = Buffer.from(JSON.stringify({ ...MODEL, order_uid: uid }))
    text.set([0xff, 0xfe], text.indexOf('Test Testov'))
    return {
      key: null,
      value: text,
      bytes: text.length,
      ...cause('malformed_json', 'not_utf8', '', 'the value is not UTF-8', undefined),
    }
  },
}

function valued(order: object): Given {
  const value = Buffer.from(JSON.stringify(order))
  return { value, bytes: value.length }
}

function cause(reason: string, error: string, pointer: string, message: string, rule: string | undefined): Given {
  const violations = rule === undefined ? [] : [{ pointer, keyword: error, message: rule }]
  return { reason, error, pointer, message, violations }
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const timer = setTimeout(done, ms)
    function done() {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    signal?.addEventListener('abort', done)
  })
}
