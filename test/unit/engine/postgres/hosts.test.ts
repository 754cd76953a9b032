import { expect, it } from 'vitest'
import { StoreUnavailableError } from '#src/engine/errors.ts'
import { createHosts, findPrimary } from '#src/engine/postgres/hosts.ts'
import { createPool, withClient } from '#src/engine/postgres/pool.ts'
import { freePorts } from '#tools/demo/servers/machine.ts'

it('a URL of one host is taken as it stands, and nobody is asked', async () => {
  const url = 'postgres://nobody:secret@nowhere.invalid:1/d'
  await expect(findPrimary(createHosts(() => url))).resolves.toBe(url)
})

it('servers of which none can be reached are an outage, which names each and no password', async () => {
  const [one = 0, two = 0] = await freePorts(2)
  const url = `postgres://u:secret@127.0.0.1:${one},127.0.0.1:${two}/d?target_session_attrs=read-write`
  const pool = createPool({ url, schema: 'holdfast', max: 1, statementTimeoutMs: 1_000, name: 'test' })
  const failed = await withClient(pool, async () => {}).catch((error: Error) => error)
  await pool.end()
  expect(failed).toBeInstanceOf(StoreUnavailableError)
  expect(failed?.message).toContain(`127.0.0.1:${one} (Postgres is away: connect ECONNREFUSED`)
  expect(failed?.message).toContain(`127.0.0.1:${two} (Postgres is away: connect ECONNREFUSED`)
  expect(failed?.message).not.toContain('secret')
})
