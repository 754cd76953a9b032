import { expect, it } from 'vitest'
import { OLDEST_POSTGRES, requireFitServer } from '#src/engine/postgres/obstacles.ts'

/** A server as it describes itself. */
const server =
  (major: number, encoding = 'UTF8') =>
  async () => [{ version: `${major}.4`, major, database: 'shop', encoding }]

it('a server that is older than what the tests run against is refused, with what to do', async () => {
  await expect(requireFitServer(server(OLDEST_POSTGRES - 1))).rejects.toThrow(
    /^the server is PostgreSQL 13\.4, which is too old: it must be 14 or later; upgrade it .*DATABASE_URL$/,
  )
})

it.each([OLDEST_POSTGRES, 18, 19])('PostgreSQL %i is taken', async major => {
  await expect(requireFitServer(server(major))).resolves.toBeUndefined()
})

it('a database that is not UTF8 is refused', async () => {
  await expect(requireFitServer(server(18, 'LATIN1'))).rejects.toThrow(/shop has the encoding LATIN1/)
})
