import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createAutomaticRedrive } from '#src/inbox/postgres/automatic-redrive.ts'
import { createDeadLetterIndex } from '#src/inbox/postgres/dead-letter-index.ts'
import { purgeSettled } from '#src/inbox/postgres/dead-letter-purge.ts'
import { createDeadLetterStore } from '#src/inbox/postgres/dead-letter-store.ts'
import { readFigures } from '#src/inbox/postgres/figures.ts'
import { createRedriveStore } from '#src/inbox/postgres/redrive-work.ts'
import { createRedrives } from '#src/inbox/postgres/redrives.ts'
import type { RedriveRequest } from '#src/inbox/redrive-ports.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { plainFilter } from '../support/filter-model.ts'
import { insertLetters } from '../support/letters.ts'

const NAMES = ['orders', 'returns'] as const
const WHO = { who: 'ada', because: 'a test' }
const DAY_MS = 86_400_000

let database: MigratedDatabase
beforeAll(async () => {
  database = await migratedDatabase()
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
})
beforeEach(async () => {
  await database.pool.query(
    'TRUNCATE holdfast.dead_letters, holdfast.dead_letter_events, holdfast.replays, holdfast.replay_items, holdfast.audit_log, holdfast.switches',
  )
  for (const stream of NAMES) {
    const own = { stream, source_topic: stream, failed_at: '2026-01-01T00:00:00Z' }
    await insertLetters(database.pool, [
      { ...own, key: 'the-same', source_offset: 0 },
      { ...own, state: 'resolved', source_offset: 1, dlq_offset: 1 },
    ])
  }
})

const request: RedriveRequest = {
  filter: plainFilter('state:open'),
  ...{ to: 'topic', rate: undefined, limit: undefined, onlyPassing: false, edited: undefined, automatic: false },
  guard: {},
}
const redrivesOf = (stream: string) =>
  createRedrives({ pool: database.pool, stream, topic: stream, check: async function* () {} })

describe('two streams with dead letters in one database', () => {
  it('do not see one another in lists, groups, figures, lookups or histories', async () => {
    const { pool } = database
    for (const stream of NAMES) {
      const letters = createDeadLetterStore(pool, stream)
      const other = `${NAMES.find(name => name !== stream)}-0-0`
      const { rows } = await letters.page({ filter: plainFilter(''), limit: 10, after: undefined })
      expect(rows.map(({ id }) => id).sort()).toEqual([`${stream}-0-0`, `${stream}-0-1`])
      expect((await letters.groups(plainFilter('')))[0]).toMatchObject({ count: 2, states: { open: 1, resolved: 1 } })
      expect([await letters.get(other), await letters.history(other)]).toEqual([undefined, []])
      expect((await readFigures(pool, stream)).deadLetters.open).toEqual(new Map([['schema_violation', 1]]))
      expect(await createDeadLetterIndex(pool, stream).ofKey('the-same')).toMatchObject({ id: `${stream}-0-0` })
    }
  })

  it('are discarded, restored and audited apart', async () => {
    const [orders, returns] = NAMES.map(name => createDeadLetterStore(database.pool, name))
    const { discarded, action } = (await orders?.discard(plainFilter(''), WHO)) ?? { discarded: 0, action: '' }
    expect(discarded).toBe(1)
    expect(await returns?.get('returns-0-0')).toMatchObject({ state: 'open' })
    await expect(returns?.restore(action, WHO)).rejects.toThrow(/no discard/)
    expect(await returns?.audit({ limit: 10, before: undefined })).toEqual([])
    expect(await orders?.audit({ limit: 10, before: undefined })).toMatchObject([{ stream: 'orders', what: 'discard' }])
  })

  it('have a redrive each at the same time, and a worker takes only its own', async () => {
    for (const stream of NAMES) {
      const redrives = redrivesOf(stream)
      expect(await redrives.preview(request)).toMatchObject({ count: 1, left_out: {} })
      const { id } = await redrives.start(request, WHO)
      await expect(redrives.start(request, WHO)).rejects.toThrow(/only one runs at a time/)
      expect((await redrives.list(10)).map(redrive => redrive.id)).toEqual([id])
      expect(await createRedriveStore(database.pool, { stream, topic: stream }).waiting()).toBe(id)
    }
    const [mine] = await redrivesOf('orders').list(1)
    await expect(redrivesOf('returns').cancel(mine?.id ?? '', WHO)).rejects.toThrow(/there is no redrive/)
  })

  it('are purged apart, and each has a switch of its own', async () => {
    const { pool } = database
    expect(await purgeSettled(pool, 'returns', DAY_MS, 10)).toBe(1)
    const left = await pool.query('SELECT id FROM holdfast.dead_letters ORDER BY id')
    expect(left.rows.map(({ id }) => id)).toEqual(['orders-0-0', 'orders-0-1', 'returns-0-0'])
    const [orders, returns] = NAMES.map(stream => createAutomaticRedrive({ pool, stream, preset: false, now: () => 0 }))
    expect(await orders?.set(true, WHO)).toMatchObject({ on: true })
    expect(await returns?.status()).toMatchObject({ on: false, changed_by: null })
  })
})
