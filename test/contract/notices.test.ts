import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '#src/clock.ts'
import { createCauses } from '#src/inbox/postgres/causes.ts'
import { NOTICE_KINDS, type Notice } from '#src/notify/notice.ts'
import { startNotifier } from '#src/notify/notifier.ts'
import { observedNotices } from '#src/notify/postgres/observed.ts'
import { createOutbox, type Outbox } from '#src/notify/postgres/outbox.ts'
import { createSend } from '#src/notify/send.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { insertLetters } from '../support/letters.ts'
import { eventually } from '../support/service.ts'
import { startWebhookReceiver, type WebhookReceiver } from '../support/webhook-receiver.ts'

let database: MigratedDatabase
let receiver: WebhookReceiver
let outbox: Outbox
const running: AsyncDisposable[] = []
beforeAll(async () => {
  database = await migratedDatabase()
  outbox = createOutbox(database.pool)
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
})
beforeEach(async () => {
  receiver = await startWebhookReceiver()
  await database.pool.query(
    'TRUNCATE holdfast.notices, holdfast.dead_letters, holdfast.causes, holdfast.replays, holdfast.replay_items, holdfast.stream_progress',
  )
})
async function stopped(): Promise<void> {
  for (const one of running.splice(0)) await one[Symbol.asyncDispose]()
}
afterEach(async () => {
  await stopped()
  await receiver[Symbol.asyncDispose]()
})

const ada = { who: 'ada', because: 'test' }
const event = (subject: string, since: Date | number = 0, title = 'it happened'): Notice => ({
  ...{ kind: 'cause_new', stream: 'orders', subject, since, title, facts: { n: 1 }, path: '/admin?stream=orders' },
})
const secondsAgo = (seconds: number) => new Date(Date.now() - seconds * 1_000)

/** Time passes for the outbox. */
async function later(minutes: number): Promise<void> {
  await database.pool.query(
    `UPDATE holdfast.notices SET noted_at = noted_at - $1 * interval '1 minute', due_at = due_at - $1 * interval '1 minute',
      sent_at = sent_at - $1 * interval '1 minute', claimed_until = claimed_until - $1 * interval '1 minute'`,
    [minutes],
  )
}

async function sendAll(): Promise<string[]> {
  const titles: string[] = []
  for (let due = await outbox.claim(); due !== undefined; due = await outbox.claim()) {
    titles.push(due.title)
    await outbox.noteSent(due)
  }
  return titles
}

it('the kinds are those that the database takes', async () => {
  const { rows } = await database.pool.query(
    `SELECT pg_get_constraintdef(oid) AS text FROM pg_constraint WHERE conrelid = 'holdfast.notices'::regclass AND conname = 'notices_kind_check'`,
  )
  expect([...String(rows[0]?.text).matchAll(/'([a-z_]+)'::text/g)].map(([, name]) => name)).toEqual([...NOTICE_KINDS])
})

describe('the outbox', () => {
  it('has a message of an event once, however often and by how many it is noted', async () => {
    const since = secondsAgo(10)
    await Promise.all([1, 2, 3].map(() => outbox.note([event('a', since), event('b', 10_000)])))
    await outbox.note([event('a', since), event('b', 10_050)])
    expect((await sendAll()).length).toBe(2)
    // The same event, seen later on by a clock that is not quite the same.
    await outbox.note([event('a', since), event('b', 9_900)])
    expect(await sendAll()).toEqual([])
    // What just happened, and is seen again before its age can be told from the way here.
    await outbox.note([event('c', 0)])
    await sendAll()
    await outbox.note([event('c', 0)])
    const { rows } = await database.pool.query('SELECT subject FROM holdfast.notices WHERE due_at IS NOT NULL')
    expect(rows).toEqual([])
    await later(120)
    const twoHoursMs = 120 * 60_000
    await outbox.note([event('a', new Date(since.getTime() - twoHoursMs)), event('b', twoHoursMs + 10_000)])
    expect(await sendAll()).toEqual([])
  })

  it('sends one an hour of a subject: what happens in between is told then, as it was last', async () => {
    await outbox.note([event('a', secondsAgo(1), 'first')])
    expect(await sendAll()).toEqual(['first'])
    await later(10)
    await outbox.note([event('a', secondsAgo(200), 'second')])
    await later(10)
    await outbox.note([event('a', secondsAgo(1), 'third')])
    expect(await sendAll()).toEqual([])
    await later(30)
    expect(await sendAll()).toEqual([])
    await later(11)
    expect(await sendAll()).toEqual(['third'])
    await later(120)
    expect(await sendAll()).toEqual([])
  })

  it('gives a message to one process at a time, and to another one when that is killed while it sends', async () => {
    await outbox.note([event('a'), event('b')])
    const claims = await Promise.all([outbox.claim(), outbox.claim(), outbox.claim()])
    expect(claims.map(claim => claim?.subject).sort()).toEqual(['a', 'b', undefined])
    expect(await outbox.claim()).toBeUndefined()
    await later(1)
    const again = await outbox.claim()
    expect([claims.map(claim => claim?.id).includes(again?.id), again?.attempt]).toEqual([true, 2])
  })

  it('tries again when it is time, and gives up when that is asked for', async () => {
    await outbox.note([event('a')])
    const first = await outbox.claim()
    if (first === undefined) throw new Error('nothing is due')
    await outbox.noteFailed(first, 60_000)
    expect(await outbox.claim()).toBeUndefined()
    await later(2)
    const second = await outbox.claim()
    expect(second).toMatchObject({ subject: 'a', attempt: 2, id: first.id })
    if (second !== undefined) await outbox.noteFailed(second, undefined)
    await later(1_000)
    expect(await outbox.claim()).toBeUndefined()
  })

  it('is bounded: what is too much is refused, and noted when there is room', async () => {
    // Also of what is noted at a time.
    const many = Array.from({ length: 1_005 }, (_, n) => event(`n${n}`, 5_000 - n))
    expect(await outbox.note(many)).toBe(5)
    expect((await database.pool.query('SELECT FROM holdfast.notices')).rowCount).toBe(1_000)
    expect(await outbox.note([event('one more')])).toBe(1)
    await database.pool.query("UPDATE holdfast.notices SET due_at = NULL WHERE subject <> 'n0'")
    expect(await outbox.note([event('one more')])).toBe(0)
    // What has not happened for long is forgotten.
    await later(60 * 24 * 8)
    await outbox.note([event('another', 0)])
    expect((await database.pool.query('SELECT subject FROM holdfast.notices')).rowCount).toBe(3)
  })
})

describe('what the database knows', () => {
  const observed = () => observedNotices(database.pool, 'orders')

  it('is a cause that is new, came back or is due, for a day, without anything of the letters', async () => {
    const causes = createCauses(database.pool, 'orders')
    const now = new Date().toISOString()
    await insertLetters(database.pool, [
      { failed_at: now, key: 'secret-key', message: 'secret-message' },
      { failed_at: '2024-01-01T00:00:00Z', error: 'type' },
    ])
    await causes.refresh()
    const [notice, ...others] = await observed()
    expect(others, 'an old one is no news').toEqual([])
    expect(notice).toMatchObject({
      ...{ kind: 'cause_new', stream: 'orders', title: 'Dead letters with a new cause in the stream orders' },
      facts: { reason: 'schema_violation', error: 'required', pointer: '/payment/amount' },
      path: '/admin?stream=orders&q=state%3Aopen%2Cparked+reason%3Aschema_violation+error%3Arequired+pointer%3A%2Fpayment%2Famount',
    })
    expect(JSON.stringify(notice)).not.toContain('secret')
    const id = String(notice?.facts.cause)
    await causes.change(id, { state: 'known', owner: 'ada' }, ada)
    expect(await observed()).toEqual([])
    await causes.change(id, { state: 'resolved' }, ada)
    await insertLetters(database.pool, [{ source_offset: 9, failed_at: new Date(Date.now() + 1_000).toISOString() }])
    await causes.refresh()
    expect(await observed()).toMatchObject([{ kind: 'cause_regressed', subject: `cause ${id}` }])
  })

  it('is a partition that the storm guard paused', async () => {
    await database.pool.query(
      `INSERT INTO holdfast.stream_progress (topic, partition, group_id, first_offset, next_offset, stream, paused_for, paused_because, paused_at)
        VALUES ('orders', 2, 'holdfast', 0, 5, 'orders', 'storm_guard', '1,000 dead letters in a row', now()),
          ('orders', 3, 'holdfast', 0, 5, 'orders', NULL, NULL, NULL)`,
    )
    expect(await observed()).toMatchObject([
      {
        kind: 'storm_guard',
        subject: 'partition orders 2 storm_guard',
        facts: { because: '1,000 dead letters in a row' },
      },
    ])
  })

  async function redrive(
    id: string,
    state: string,
    more: { automatic?: boolean; ended?: string } = {},
    members: string[] = [],
  ) {
    await database.pool.query(
      `INSERT INTO holdfast.replays (id, stream, state, filter, requested_by, because, automatic, only_passing, edited, total, finished_at)
        VALUES ($1, 'orders', $2, '', 'Ada Lovelace', 'x', $3, false, false, $4, ${more.ended ?? 'now()'})`,
      [id, state, more.automatic ?? false, members.length],
    )
    for (const [position, member] of members.entries()) {
      await database.pool.query(
        'INSERT INTO holdfast.replay_items (replay_id, position, dead_letter_id, state) VALUES ($1, $2, $3, $4)',
        [id, position + 1, `orders-0-${position}`, member],
      )
    }
  }

  it('is a redrive that has ended, once its records are settled, and what became of them', async () => {
    await redrive('r1', 'done', {}, ['resolved', 'failed_again', 'parked', 'skipped'])
    await redrive('r2', 'done', {}, ['resolved', 'published'])
    await redrive('r3', 'done', { ended: "now() - interval '6 minutes'" }, ['published'])
    await redrive('r4', 'failed')
    await redrive('r5', 'cancelled')
    await redrive('r6', 'done', { ended: "now() - interval '2 hours'" })
    const notices = (await observed()).toSorted((a, b) => (a.subject < b.subject ? -1 : 1))
    expect(notices.map(({ subject, title }) => [subject, title])).toEqual([
      ['redrive r1 ended', 'A redrive of the stream orders is done: 2 of 4 failed again'],
      ['redrive r3 ended', 'A redrive of the stream orders is done'],
      ['redrive r4 ended', 'A redrive of the stream orders failed'],
    ])
    expect(notices[0]).toMatchObject({
      facts: { resolved: 1, failed_again: 2, skipped: 1 },
      path: '/admin?stream=orders&replay=r1',
    })
    expect(JSON.stringify(notices)).not.toContain('Lovelace')
  })

  it('is a redrive that paused itself, with why, and none that an operator paused', async () => {
    await redrive('p1', 'paused')
    await redrive('p2', 'paused', {}, ['failed_again', 'pending'])
    await database.pool.query(
      `UPDATE holdfast.replays SET epoch = 3, paused_because = '{"message":"1 of 1 failed again"}' WHERE id = 'p2'`,
    )
    expect(await observed()).toMatchObject([
      {
        ...{ kind: 'redrive_paused', subject: 'redrive p2 paused 3', facts: { because: '1 of 1 failed again' } },
        title: 'A redrive of the stream orders paused by itself and waits for an operator',
      },
    ])
  })

  it('is of automatic redrives only that some failed', async () => {
    await redrive('a1', 'done', { automatic: true }, ['resolved'])
    expect(await observed()).toEqual([])
    await redrive('a2', 'done', { automatic: true }, ['failed_again'])
    expect(await observed()).toMatchObject([{ subject: 'redrives orders automatic' }])
  })
})

describe('with a receiver', () => {
  const since = secondsAgo(5)

  /** Is given up after that time where it says nothing; what is given up may have arrived, and comes again. */
  const HASTY_MS = 500
  const PATIENT_MS = 60_000

  function replica(timeoutMs = PATIENT_MS): void {
    running.push(
      startNotifier({
        own: () => [],
        observed: async () => [event('cause c1', since, 'a new cause')],
        outbox,
        send: createSend({
          url: () => receiver.url,
          format: 'json',
          consoleUrl: () => 'https://console.test',
          timeoutMs,
        }),
        observer: { observe() {} },
        // Looks often, and tries again soon.
        clock: { ...systemClock, sleep: (_ms, signal) => systemClock.sleep(20, signal) },
        random: () => 0,
      }),
    )
  }
  const titles = () => receiver.taken.map(text => JSON.parse(text).title)

  it('several replicas send a message once', async () => {
    replica()
    replica()
    replica()
    await eventually(() => receiver.taken.length > 0, 'the message')
    await systemClock.sleep(300)
    expect(titles()).toEqual(['a new cause'])
    expect(JSON.parse(receiver.taken[0] ?? '')).toMatchObject({ link: 'https://console.test/admin?stream=orders' })
  })

  it('one that is away, refuses and says nothing gets it once it is back, from whichever process runs then', async () => {
    await receiver.away()
    replica()
    await eventually(async () => {
      const { rows } = await database.pool.query('SELECT attempts FROM holdfast.notices')
      return rows[0]?.attempts > 1
    }, 'two attempts')
    await stopped()
    receiver.reacts({ status: 503 })
    await receiver.back()
    replica(HASTY_MS)
    await eventually(() => receiver.asked.length > 1, 'being refused')
    receiver.reacts('silence')
    const asked = receiver.asked.length
    await eventually(() => receiver.asked.length > asked + 1, 'being asked in silence, given up, and asked again')
    await stopped()
    expect(receiver.taken).toEqual([])
    receiver.reacts({ status: 202 })
    replica()
    await eventually(() => receiver.taken.length > 0, 'the message')
    await systemClock.sleep(200)
    expect(titles()).toEqual(['a new cause'])
    // Each attempt is of the same message.
    expect(new Set(receiver.asked.map(({ body }) => JSON.parse(body).id)).size).toBe(1)
  })
})
