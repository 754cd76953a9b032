import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
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

it('a session that is ended in the moment in which it is ready is an outage, and no uncaught error', async () => {
  // Given a server that says in one piece: welcome, ready, and that an administrator ends it
  const message = (type: string, ...parts: (string | number[])[]) => {
    const body = Buffer.concat(parts.map(part => Buffer.from(part as string)))
    const head = Buffer.alloc(5)
    head.write(type)
    head.writeInt32BE(body.length + 4, 1)
    return Buffer.concat([head, body])
  }
  const ended = message('E', 'SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0')
  const answer = Buffer.concat([message('R', [0, 0, 0, 0]), message('Z', 'I'), ended])
  const server = createServer(socket => {
    socket.on('error', () => {})
    socket.once('data', () => socket.end(answer))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo

  // When a connection is asked for, the error is that of the question
  const url = `postgres://u@127.0.0.1:${port}/d?sslmode=disable`
  const pool = createPool({ url, schema: 'holdfast', max: 1, statementTimeoutMs: 1_000, name: 'test' })
  onTestFinished(() => pool.end())
  await expect(withClient(pool, client => client.query('SELECT 1'))).rejects.toThrow(StoreUnavailableError)
})
