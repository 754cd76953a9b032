import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ensureTopics } from '#src/engine/kafka/admin.ts'
import { startProducer } from '#src/engine/kafka/producer.ts'
import { createCheckLetters } from '#src/inbox/check.ts'
import { printFilter } from '#src/inbox/filter.ts'
import { parseFilter } from '#src/inbox/filter-reader.ts'
import { createDeadLetterRecords } from '#src/inbox/kafka/dead-letter-records.ts'
import type { DeadLetterRecords, DeadLetterStore } from '#src/inbox/ports.ts'
import { createDeadLetterStore } from '#src/inbox/postgres/dead-letter-store.ts'
import { createRedrives } from '#src/inbox/postgres/redrives.ts'
import { toDeadLetterRecord } from '#src/inbox/record.ts'
import type { RedriveRequest, Redrives } from '#src/inbox/redrive-ports.ts'
import { createLetterSearch, type LetterSearch, type SearchProgress } from '#src/inbox/search.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { insertLetters } from '../support/letters.ts'
import { createOrderJudge } from '../support/order.ts'
import { aDeadLetter } from '../support/orders.ts'
import { aRecord } from '../support/records.ts'
import { freshTopics, kafkaBrokers } from '../support/stack.ts'

/** Filters that the index alone cannot answer, on the real database and the real topic. */

const connection = { brokers: [kafkaBrokers()], security: {}, extra: {} }
const BY = { who: 'ada', because: 'a search in values' }
const LETTERS = 2_600
/** These say so, and their bytes are not in the topic. */
const GONE = 10

let database: MigratedDatabase
let records: DeadLetterRecords
let letters: DeadLetterStore
let search: LetterSearch
let redrives: Redrives

beforeAll(async () => {
  database = await migratedDatabase()
  const names = freshTopics('search')
  const producer = await startProducer({ connection })
  await ensureTopics(connection, producer, { ...names, partitions: 2, replication: 1 })
  const places = await Promise.all(
    Array.from({ length: LETTERS }, async (_, i) => {
      const text = JSON.stringify({ payment: { bank: i % 4 === 0 ? 'alpha' : 'beta' }, note: 'x'.repeat(200) })
      const record = aRecord({ partition: i % 2, offset: BigInt(i), text })
      const { timestampMs: _at, ...produced } = toDeadLetterRecord(aDeadLetter(BigInt(i), { record, origin: record }))
      return await producer.produce({ topic: names.dlqTopic, partition: i % 2, ...produced })
    }),
  )
  await producer.close()
  await insertLetters(
    database.pool,
    Array.from({ length: LETTERS + GONE }, (_, i) => ({
      source_partition: i % 2,
      source_offset: i,
      key: `key-${i % 100}`,
      message: i === 7 ? 'key-1 and orders-0-2 are words here' : 'is missing',
      state: i === 4 ? 'parked' : 'open',
      dlq_partition: places[i]?.partition ?? 0,
      dlq_offset: Number(places[i]?.offset ?? 1_000_000 + i),
    })),
  )
  await database.pool.query('ANALYZE holdfast.dead_letters')
  letters = createDeadLetterStore(database.pool, 'orders')
  records = createDeadLetterRecords({
    connection,
    topic: names.dlqTopic,
    sourceTopic: names.topic,
    groupId: names.groupId,
  })
  search = createLetterSearch({ letters, records })
  const check = createCheckLetters({ records, judge: createOrderJudge({ maxBytes: 1024 * 1024 }) })
  redrives = createRedrives({ pool: database.pool, stream: 'orders', topic: 'orders', check })
})

afterAll(async () => {
  await records?.[Symbol.asyncDispose]()
  await database?.[Symbol.asyncDispose]()
})

function written(text: string) {
  const parsed = parseFilter(text)
  if (!parsed.ok) throw new Error(parsed.message)
  return parsed.filter
}

const isAlpha = (id: string) => Number(id.split('-').at(-1)) % 4 === 0

describe('a word', () => {
  it('is looked up as an id and as a key by their indexes, and else as text', async () => {
    const named = async (text: string) => printFilter(await search.named(written(text)))
    expect(await named('orders-0-2 key-1 words')).toBe('id:orders-0-2 key:key-1 text:words')
    const plans = await Promise.all(
      ['d.id = text COLLATE "C"', 'd.key = text'].map(async condition => {
        const { rows } = await database.pool.query<{ 'QUERY PLAN': string }>(
          `EXPLAIN SELECT EXISTS (SELECT FROM holdfast.dead_letters AS d WHERE d.stream = 'orders' AND ${condition})
            FROM unnest(ARRAY['key-1']) AS given (text)`,
        )
        return rows.map(row => row['QUERY PLAN']).join('\n')
      }),
    )
    for (const plan of plans) expect(plan).not.toContain('Seq Scan on dead_letters')
  })
})

describe('a condition on the value', () => {
  it('is answered out of the topic, with progress, and counts what is gone', async () => {
    const seen: SearchProgress[] = []
    const onProgress = (now: SearchProgress) => void seen.push(now)
    const filter = await search.answerable(written('value:/payment/bank=alpha'), { by: BY, onProgress })
    const groups = await letters.groups(filter)
    expect(groups.reduce((sum, { count }) => sum + count, 0)).toBe(LETTERS / 4 - 1)
    expect(seen.length).toBeGreaterThan(1)
    expect(seen.at(-1)).toEqual({ read: LETTERS + GONE - 1, gone: GONE, found: LETTERS / 4 - 1 })
    const { rows } = await letters.page({ filter, limit: 1_000, after: undefined })
    expect(rows.every(({ id }) => isAlpha(id) && id !== 'orders-0-4')).toBe(true)
  })

  it('is turned page by page as any list, without gap or repeat', async () => {
    const filter = await search.named(written('value:/payment/bank!=alpha'))
    const ids: string[] = []
    let after: Parameters<LetterSearch['page']>[0]['after']
    do {
      const page = await search.page({ filter, limit: 400, after })
      ids.push(...page.rows.map(({ id }) => id))
      after = page.next
    } while (after !== undefined)
    expect(ids).toHaveLength((LETTERS * 3) / 4)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.some(isAlpha)).toBe(false)
  })

  it('freezes exactly what it found, and is nowhere written down with its value', async () => {
    const filter = await search.answerable(written('value:/payment/bank=alpha'), { by: BY })
    const request: RedriveRequest = {
      ...{
        filter,
        to: 'store',
        rate: undefined,
        limit: undefined,
        onlyPassing: false,
        edited: undefined,
        automatic: false,
        guard: {},
      },
    }
    const preview = await redrives.preview(request)
    const redrive = await redrives.start(request, BY)
    expect([preview.count, redrive.total]).toEqual([LETTERS / 4 - 1, LETTERS / 4 - 1])
    const { rows } = await database.pool.query(
      'SELECT dead_letter_id AS id FROM holdfast.replay_items WHERE replay_id = $1',
      [redrive.id],
    )
    expect(rows.every(({ id }) => isAlpha(id))).toBe(true)
    expect(redrive.filter).toBe('state:open value:/payment/bank=•••')
    const noted = await database.pool.query(
      "SELECT filter FROM holdfast.audit_log UNION SELECT filter FROM holdfast.replays WHERE filter <> ''",
    )
    expect(JSON.stringify(noted.rows)).not.toContain('alpha')
    const discarded = await letters.discard(filter, BY)
    expect(discarded.discarded).toBe(LETTERS / 4 - 1)
  })
})
