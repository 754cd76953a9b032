import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { UsageError } from '#src/engine/errors.ts'
import { noteConsumerStart } from '#src/engine/postgres/consumer-starts.ts'
import type { Causes, ListedCause } from '#src/inbox/causes.ts'
import type { DeadLetterFilter } from '#src/inbox/filter.ts'
import { parseFilter } from '#src/inbox/filter-reader.ts'
import { createCauses } from '#src/inbox/postgres/causes.ts'
import { createDeadLetterStore } from '#src/inbox/postgres/dead-letter-store.ts'
import { readFigures } from '#src/inbox/postgres/figures.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { insertLetters, type LetterFields } from '../support/letters.ts'

let database: MigratedDatabase
let causes: Causes
beforeAll(async () => {
  database = await migratedDatabase()
  causes = createCauses(database.pool, 'orders')
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
})
beforeEach(async () => {
  await database.pool.query(
    'TRUNCATE holdfast.dead_letters, holdfast.dead_letter_events, holdfast.audit_log, holdfast.causes, holdfast.consumer_starts',
  )
})

const ada = { who: 'ada', because: 'producer 1.4 was rolled back' }
const MINUTE_MS = 60_000
const start = Date.now() - 60 * MINUTE_MS
const at = (minute: number) => new Date(start + minute * MINUTE_MS).toISOString()

/** A letter of the one cause, which failed at that minute. */
function letter(minute: number, more: Partial<LetterFields> = {}): Promise<unknown> {
  return insertLetters(database.pool, [{ source_offset: minute, failed_at: at(minute), ...more }])
}

async function settle(offset: number, minute: number, state = 'resolved'): Promise<void> {
  await database.pool.query(
    'UPDATE holdfast.dead_letters SET state = $2, state_changed_at = $3 WHERE source_offset = $1',
    [offset, state, at(minute)],
  )
}

async function failAgain(offset: number, minute: number): Promise<void> {
  await database.pool.query(
    "UPDATE holdfast.dead_letters SET state = 'open', failed_at = $2, state_changed_at = $2 WHERE source_offset = $1",
    [offset, at(minute)],
  )
}

/** The one cause that there is, as it is after a look at the letters. */
async function now(): Promise<ListedCause> {
  await causes.refresh()
  const [cause, ...others] = await causes.list()
  expect(others).toEqual([])
  if (cause === undefined) throw new Error('there is no cause')
  return cause
}

async function attention(): Promise<Record<string, number>> {
  return Object.fromEntries((await readFigures(database.pool, 'orders')).deadLetters.attention)
}

describe('a cause', () => {
  it('is new with its first dead letter, with the version that was deployed then, and asks for attention', async () => {
    const version = (name: string, minute: number) =>
      noteConsumerStart(database.pool, {
        id: crypto.randomUUID(),
        version: name,
        agoMs: Date.now() - start - minute * MINUTE_MS,
      })
    await version('1.4.0', 1)
    await version('1.5.0', 8)
    await letter(5)
    await letter(9)

    expect(await attention(), 'before any look').toEqual({ new: 1 })
    expect(await now()).toMatchObject({
      ...{ state: 'new', since: at(5), version: '1.4.0', waiting: 2, count: 2, owner: null, changed_by: null },
      ...{ reason: 'schema_violation', error: 'required', pointer: '/payment/amount' },
    })
    expect(await attention()).toEqual({ new: 1 })
  })

  it('that is known asks for none, however old its letters are and however many come', async () => {
    await letter(1)
    const { id } = await now()
    expect(await causes.change(id, { state: 'known', owner: 'ada', note: 'ticket 4711' }, ada)).toMatchObject({
      ...{ state: 'known', owner: 'ada', note: 'ticket 4711', changed_by: 'ada' },
    })
    await letter(2)
    expect(await now()).toMatchObject({ state: 'known', waiting: 2 })
    expect(await attention()).toEqual({})
    expect(await causes.change(id, { owner: '' }, ada)).toMatchObject({
      state: 'known',
      owner: null,
      note: 'ticket 4711',
    })
  })

  it('that a redrive resolved is resolved; when it fails once more it came back, with the version of then', async () => {
    await letter(1)
    const { id } = await now()
    await causes.change(id, { state: 'known', owner: 'ada' }, ada)
    await noteConsumerStart(database.pool, { id: crypto.randomUUID(), version: '2.0.0', agoMs: 50 * MINUTE_MS })
    await settle(1, 5)
    expect(await now(), 'no version was deployed when it appeared').toMatchObject({
      ...{ state: 'resolved', owner: 'ada', version: null },
    })
    await letter(20)
    await letter(21)
    expect(await now()).toMatchObject({ id, state: 'regressed', since: at(20), version: '2.0.0', owner: 'ada' })
    expect(await attention()).toEqual({ regressed: 1 })
    await causes.change(id, { state: 'known' }, ada)
    expect(await now()).toMatchObject({ state: 'known', version: '2.0.0' })
  })

  it('that was resolved and came back between two looks came back', async () => {
    await letter(1)
    await now()
    await settle(1, 5)
    await letter(6)
    expect(await now()).toMatchObject({ state: 'regressed', since: at(6) })
    // What the operator says of it then holds.
    await causes.change((await now()).id, { state: 'known' }, ada)
    expect(await now()).toMatchObject({ state: 'known' })
  })

  it('of which a redrive resolved some only did not come back', async () => {
    await letter(1)
    await letter(2)
    await causes.change((await now()).id, { state: 'known' }, ada)
    await settle(1, 10)
    await failAgain(2, 11)
    await letter(12)
    expect(await now()).toMatchObject({ state: 'known', waiting: 2 })
  })

  it('that an operator calls resolved stays so beside its old letters, and came back with the next failure of any', async () => {
    await letter(1)
    const { id } = await now()
    await causes.change(id, { state: 'resolved' }, ada)
    expect(await now()).toMatchObject({ state: 'resolved', waiting: 1 })
    expect(await attention()).toEqual({})
    await failAgain(1, 30)
    expect(await now()).toMatchObject({ id, state: 'regressed', since: at(30) })
  })

  it('whose discard is undone is known, and did not come back', async () => {
    await letter(1)
    await now()
    await settle(1, 5, 'discarded')
    expect(await now()).toMatchObject({ state: 'resolved' })
    await settle(1, 6, 'open')
    expect(await now()).toMatchObject({ state: 'known', waiting: 1 })
  })

  it('that a redrive has in hand is not resolved yet', async () => {
    await letter(1)
    await settle(1, 5, 'replaying')
    expect(await now()).toMatchObject({ state: 'new', waiting: 0 })
    expect(await attention()).toEqual({})
  })
})

describe('a snooze', () => {
  it('for a time ends with it, unless all is resolved by then', async () => {
    await letter(1)
    const { id } = await now()
    const beforeMs = Date.now()
    const snoozed = await causes.change(id, { state: 'snoozed', snoozeSeconds: 3_600 }, ada)
    expect(Date.parse(snoozed?.snoozed_until ?? '') - beforeMs).toBeGreaterThan(3_590_000)
    expect(await now()).toMatchObject({ state: 'snoozed' })
    await database.pool.query("UPDATE holdfast.causes SET snoozed_until = now() - interval '1 second'")
    expect(await now()).toMatchObject({ state: 'due', snoozed_until: null })
    expect(await attention()).toEqual({ due: 1 })
    await causes.change(id, { state: 'snoozed', snoozeSeconds: 1 }, ada)
    await settle(1, 5)
    await database.pool.query("UPDATE holdfast.causes SET snoozed_until = now() - interval '1 second'")
    expect(await now()).toMatchObject({ state: 'resolved' })
  })

  it('for a number ends when so many more wait than did', async () => {
    await letter(1)
    await letter(2)
    const { id } = await now()
    expect(await causes.change(id, { state: 'snoozed', snoozeMore: 2 }, ada)).toMatchObject({
      ...{ snoozed_above: 4, snoozed_until: null },
    })
    await letter(3)
    expect(await now()).toMatchObject({ state: 'snoozed' })
    await letter(4)
    expect(await now()).toMatchObject({ state: 'due', waiting: 4, snoozed_above: null })
  })

  it('needs one end, and nothing else has one', async () => {
    await letter(1)
    const { id } = await now()
    for (const change of [
      { state: 'snoozed' },
      { state: 'snoozed', snoozeMore: 1, snoozeSeconds: 1 },
      { state: 'snoozed', snoozeMore: 0 },
      { state: 'known', snoozeMore: 5 },
      { owner: 'x'.repeat(101) },
      {},
    ] as const) {
      await expect(causes.change(id, change, ada), JSON.stringify(change)).rejects.toThrow(UsageError)
    }
    expect(await now()).toMatchObject({ state: 'new' })
  })
})

it('each change stands in the audit log, without the text of the note, and an id that is not there changes nothing', async () => {
  await letter(1)
  const { id } = await now()
  await causes.change(id, { state: 'snoozed', snoozeMore: 9, note: 'Mrs. Smith called' }, ada)
  expect(await causes.change('c000000000000', { state: 'known' }, ada)).toBeUndefined()
  const { rows } = await database.pool.query('SELECT who, what, filter, because, counts FROM holdfast.audit_log')
  expect(rows).toEqual([
    {
      ...ada,
      what: 'cause',
      filter: 'reason:schema_violation error:required pointer:/payment/amount',
      counts: { cause: id, state: 'snoozed', was: 'new', above: 10, note: 'changed' },
    },
  ])
  const [{ filter }] = rows
  expect(parseFilter(filter).ok).toBe(true)
})

it('a group of letters says what is known of its cause, whatever the filter takes of it', async () => {
  const store = createDeadLetterStore(database.pool, 'orders')
  const open: DeadLetterFilter = { terms: [{ field: 'state', not: false, values: ['open'] }] }
  await letter(1)
  const [before] = await store.groups(open)
  expect(before?.cause).toMatchObject({ state: 'new', since: at(1), owner: null })
  const { id } = await now()
  expect(before?.cause.id, 'the same before there is a row').toBe(id)
  await causes.change(id, { state: 'known', owner: 'ada' }, ada)
  await settle(1, 3)
  await letter(2)
  expect(await store.groups(open)).toMatchObject([{ count: 1, cause: { id, state: 'known', owner: 'ada' } }])
})

it('of another stream is another one; two processes that look at once make one row', async () => {
  const others = createCauses(database.pool, 'returns')
  await letter(1)
  await letter(2, { id: 'returns-0-2', stream: 'returns', error: 'type' })
  await Promise.all([causes.refresh(), causes.refresh(), others.refresh(), causes.refresh()])
  await causes.refresh()
  expect(await causes.list()).toMatchObject([{ error: 'required' }])
  expect(await others.list()).toMatchObject([{ error: 'type', state: 'new' }])
  const [other] = await others.list()
  expect(await causes.change(other?.id ?? '', { state: 'known' }, ada)).toBeUndefined()
})

it('a look that finds nothing new writes nothing, and one of which nothing is left goes after a year', async () => {
  await letter(1)
  await settle(1, 2)
  await now()
  const before = await database.pool.query('SELECT xmin::text, ctid::text FROM holdfast.causes')
  await now()
  expect((await database.pool.query('SELECT xmin::text, ctid::text FROM holdfast.causes')).rows).toEqual(before.rows)
  await database.pool.query("UPDATE holdfast.causes SET since = now() - interval '2 years'")
  await now()
  await database.pool.query('TRUNCATE holdfast.dead_letters')
  await causes.refresh()
  expect(await causes.list()).toEqual([])
})
