import { expect, it } from 'vitest'
import { createAutomaticRedrive } from '#src/inbox/postgres/automatic-redrive.ts'
import { migratedDatabase } from '../support/database.ts'

it('is as it was set at start until somebody touches the switch, which holds for all and is written down', async () => {
  await using database = await migratedDatabase()
  const { pool } = database
  const now = () => Date.UTC(2026, 4, 1, 12, 30, 15)
  const off = createAutomaticRedrive({ pool, stream: 'orders', preset: false, now })
  const on = createAutomaticRedrive({ pool, stream: 'orders', preset: true, now })
  expect(await off.status()).toEqual({ on: false, changed_by: null, changed_at: null, next_run: null })
  expect(await on.status()).toMatchObject({ on: true, next_run: '2026-05-01T12:31:00.000Z' })

  const by = { who: 'ada', because: 'the outage is over' }
  expect(await off.set(true, by)).toMatchObject({ on: true, changed_by: 'ada', changed_at: expect.any(String) })
  await on.set(false, { who: 'bob', because: 'too early' })
  expect(await off.status()).toMatchObject({ on: false, changed_by: 'bob', next_run: null })
  const { rows } = await pool.query('SELECT who, what, because, counts FROM holdfast.audit_log ORDER BY id')
  expect(rows).toEqual([
    { what: 'automatic_redrive', ...by, counts: { on: true } },
    { what: 'automatic_redrive', who: 'bob', because: 'too early', counts: { on: false } },
  ])
})
