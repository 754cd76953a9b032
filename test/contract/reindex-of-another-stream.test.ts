import { afterAll, beforeAll, expect, it } from 'vitest'
import { compileStream } from '#src/engine/definition/compile.ts'
import type { StreamDefinition } from '#src/engine/definition.ts'
import { createTable, wantedTables } from '#src/engine/postgres/wanted-tables.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { rebuildIndex } from '#src/inbox/postgres/reindex.ts'
import { readDlqTopic } from '#src/inbox/reindex.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { createMemoryDlq } from '../support/dlq-topic.ts'
import { aDeadLetter, aWork } from '../support/orders.ts'
import { aRecord } from '../support/records.ts'
import { aReturnValue, returns } from '../support/returns-definition.ts'

/** A stream whose table and key column are names that SQL takes in quotes only. */
const tickets: StreamDefinition = {
  name: 'tickets',
  schema: {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    required: ['id', 'created_at'],
    properties: { id: { type: 'string', maxLength: 64 }, created_at: { type: 'string', format: 'date-time' } },
  },
  key: '/id',
  tables: { user: { columns: [{ at: '/id', as: 'order' }, '/created_at'] } },
}

let database: MigratedDatabase
beforeAll(async () => {
  database = await migratedDatabase()
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
})

it.each([
  { definition: returns as StreamDefinition, stored: aReturnValue(), other: aReturnValue() },
  {
    definition: tickets,
    stored: { id: 't-1', created_at: '2026-01-01T00:00:00Z' },
    other: { id: 't-2', created_at: '2026-01-01T00:00:00Z' },
  },
])(
  'a dead letter of $definition.name whose value is stored is indexed as resolved, and another one as open',
  async given => {
    const { definition, stored, other } = given
    const { name } = definition
    const options = { topic: name, dlqTopic: `${name}.dlq`, groupId: 'holdfast', maxBytes: 1_000_000 }
    const stream = compileStream(definition, options)
    for (const table of wantedTables(stream.plan)) await database.pool.query(createTable(table).up)
    const store = createStreamSettlement({ pool: database.pool, stream: name, tables: stream.tables })
    await store.startProgress('holdfast', { topic: name, partition: 0, nextOffset: 0n })
    const record = aRecord({ topic: name, offset: 0n, text: JSON.stringify(stored) })
    const verdict = stream.judge(record)
    if (!verdict.ok) throw new Error(verdict.rejection.message)
    await store.settle(
      aWork([{ record, origin: record, key: verdict.key, value: verdict.value }], { topic: name, from: 0n }),
    )

    const dlq = createMemoryDlq(1, stream.dlqTopic)
    const rejection = { ...aDeadLetter(0n).rejection, reason: 'unexpected_error', error: 'unexpected' } as const
    for (const [offset, value] of [stored, other].entries()) {
      const failed = aRecord({ topic: name, offset: BigInt(offset), text: JSON.stringify(value) })
      dlq.send({ ...aDeadLetter(0n), record: failed, origin: failed, rejection })
    }
    const reading = await readDlqTopic(dlq, stream.judge)
    const by = { who: 'ada', because: 'a test' }
    const report = await rebuildIndex(database.pool, {
      stream,
      ...reading,
      copies: reading.copies(),
      redriveMax: 3,
      by,
    })

    expect(report).toMatchObject({ letters: 2, added: 2 })
    const { rows } = await database.pool.query(
      'SELECT id, state FROM holdfast.dead_letters WHERE stream = $1 ORDER BY id',
      [name],
    )
    expect(rows).toEqual([
      { id: `${name}-0-0`, state: 'resolved' },
      { id: `${name}-0-1`, state: 'open' },
    ])
  },
)
