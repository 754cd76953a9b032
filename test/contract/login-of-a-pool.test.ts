import pg from 'pg'
import { expect, it } from 'vitest'
import { createPool, query } from '#src/engine/postgres/pool.ts'
import { freshDatabase } from '../support/stack.ts'

it('each new connection asks for user and password as they are then; open ones stay', async () => {
  // Given a pool of a user whose password is exchanged
  const url = new URL(await freshDatabase())
  const admin = new pg.Client({ connectionString: url.href })
  await admin.connect()
  const user = `login_${Math.random().toString(36).slice(2)}`
  await admin.query(`CREATE ROLE ${user} LOGIN PASSWORD 'first'`)
  const login = { password: 'first' }
  const currentUrl = () => Object.assign(new URL(url), { username: user, ...login }).href
  const pool = createPool({
    schema: 'holdfast',
    url: currentUrl(),
    currentUrl,
    max: 2,
    statementTimeoutMs: 30_000,
    name: 'test',
  })
  const who = async () => (await query<{ who: string }>(pool, { text: 'SELECT current_user AS who' }))[0]?.who
  try {
    expect(await who()).toBe(user)
    await admin.query(`ALTER ROLE ${user} PASSWORD 'second'`)
    // The open connection needs none
    expect(await who()).toBe(user)

    // When the server ends that connection
    await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [user])
    await expect.poll(() => pool.totalCount).toBe(0)

    // Then the old password is refused, and the new one taken as soon as it is known
    await expect(who()).rejects.toThrow(/password authentication failed/)
    login.password = 'second'
    expect(await who()).toBe(user)
  } finally {
    await pool.end()
    await admin.query(`DROP ROLE ${user}`)
    await admin.end()
  }
})
