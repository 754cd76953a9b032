import { once } from 'node:events'
import { ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import type { StoredValue } from '#src/engine/value-sql.ts'
import { orderJson } from '../../support/order.ts'
import { modelOrder } from '../../support/orders.ts'
import { type Service, startService, UID } from './support.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

/** A connection that the test ends. */
async function open(service: Service): Promise<Socket> {
  const socket = connect(service.server.port, '127.0.0.1')
  socket.on('error', () => {})
  socket.setMaxListeners(0)
  onTestFinished(() => {
    socket.destroy()
  })
  await once(socket, 'connect')
  return socket
}

const question = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`

/** Asks, and resolves with the status line; with what it was told before it was closed, if that comes first. */
async function ask(socket: Socket, path: string): Promise<string> {
  socket.write(question(path))
  const [first] = await Promise.race([once(socket, 'data'), once(socket, 'close')])
  return first instanceof Buffer ? (first.toString().split('\r\n')[0] ?? '') : 'closed'
}

/** The bound only ends a broken test. */
const PATIENT = { timeout: 20_000 }

const refusals = (service: Service) =>
  service.facts.flatMap(fact => (fact.kind === 'http_refused' ? [fact.reason] : []))

/** As much as a record may hold, in many items. */
function largeOrder(uid: string): StoredValue {
  const [item] = modelOrder.items
  if (item === undefined) throw new Error('the model order has no item')
  const items = Array.from({ length: 4_500 }, () => item)
  const json = orderJson({ ...modelOrder, order_uid: uid, items })
  expect(json.length).toBeGreaterThan(900_000)
  return { key: uid, json, origin: { topic: 'orders', partition: 0, offset: 0n, timestampMs: 0 } }
}

describe('silent connections', () => {
  it('2,000 of them, which asked once or never, keep nobody from the probes', async () => {
    await using service = await startService()
    const silent: Socket[] = []
    for (let batch = 0; batch < 20; batch++) {
      const opened = await Promise.all(Array.from({ length: 100 }, () => open(service)))
      for (const [index, socket] of opened.entries()) if (index % 4 > 0) socket.write(question('/livez'))
      silent.push(...opened)
    }
    const fresh = await open(service)
    expect(await ask(fresh, '/livez')).toBe('HTTP/1.1 200 OK')
    // A connection that works is not the one that makes way.
    for (let i = 0; i < 20; i++) {
      await open(service)
      expect(await ask(fresh, `/order/${UID}`)).toBe('HTTP/1.1 200 OK')
    }
    expect(new Set(refusals(service))).toEqual(new Set(['connection_idle']))
  })

  it('that asked once are closed when it becomes crowded; those that ask again and again stay', async () => {
    // Of four places two count as crowded: the second one is still closed when a slow machine let it ask a sweep later than the first.
    await using service = await startService({ connections: { total: 4, askedOnceMs: 500, sweepMs: 5 } })
    const often = await open(service)
    // While it is alone nothing is crowded, however long a slow machine takes between its questions.
    for (let asked = 0; asked < 2; asked++) expect(await ask(often, '/livez')).toBe('HTTP/1.1 200 OK')
    const [first, second] = [await open(service), await open(service)]
    const closed = Promise.all([once(first, 'close'), once(second, 'close')])
    for (const socket of [first, second]) expect(await ask(socket, '/livez')).toBe('HTTP/1.1 200 OK')
    await closed
    expect(await ask(often, '/livez')).toBe('HTTP/1.1 200 OK')
  })

  it('and when all are at work, places are left for probes', async () => {
    const read = () => new Promise<undefined>(() => {})
    const connections = { total: 4, perAddress: 2, reserved: 1 }
    await using service = await startService({ read, connections, drainTimeoutMs: 10 })
    for (let i = 0; i < 2; i++) (await open(service)).write(question(`/order/x${i}`))
    await vi.waitFor(() => expect(service.asked).toHaveLength(2), PATIENT)
    const last = await open(service)
    expect(await ask(last, '/readyz')).toBe('HTTP/1.1 200 OK')
    expect(await ask(last, '/metrics')).toBe('HTTP/1.1 200 OK')
    expect(await ask(last, `/order/${UID}`)).toBe('HTTP/1.1 503 Service Unavailable')
    await once(last, 'close')
    expect(refusals(service)).toEqual(['busy'])
  })
})

describe('answers that nobody reads', () => {
  it('are cut after a while, and hold no place any more', async () => {
    const values = Array.from({ length: 20 }, (_, index) => largeOrder(`large-${index}`))
    const catalog = { page: async () => ({ values, next: undefined }) }
    await using service = await startService({
      orders: { catalog },
      work: { pages: 1 },
      // Long enough for a slow machine to ask for another page meanwhile.
      connections: { unreadMs: 3_000, sweepMs: 20 },
    })
    const lazy = await open(service)
    lazy.pause()
    lazy.write(question('/orders'))
    // While it is under way, another page is not begun
    await vi.waitFor(async () => {
      const refused = await service.get('/orders', { method: 'HEAD' })
      expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1'])
    }, PATIENT)
    await vi.waitFor(() => expect(refusals(service)).toContain('answer_unread'), PATIENT)
    await vi.waitFor(async () => expect((await service.get('/orders', { method: 'HEAD' })).status).toBe(200), PATIENT)
  })
})

describe('a large order as a page', () => {
  it('is rendered in pieces: between any two of them the event loop turns', async () => {
    const order = largeOrder(UID)
    await using service = await startService({ read: async () => order })
    let turn = 0
    let ended = false
    const count = () => {
      turn += 1
      if (!ended) setImmediate(count)
    }
    const bytesOfTurn = new Map<number, number>()
    const write = ServerResponse.prototype.write
    vi.spyOn(ServerResponse.prototype, 'write').mockImplementation(function (this: ServerResponse, chunk: string) {
      bytesOfTurn.set(turn, (bytesOfTurn.get(turn) ?? 0) + Buffer.byteLength(chunk))
      return write.call(this, chunk, 'utf8')
    })
    setImmediate(count)
    const response = await fetch(`${service.url}/view?order_uid=${UID}`)
    const page = await response.text()
    ended = true
    expect(page.match(/<tr>/g)).toHaveLength(4_501)
    expect(page.trimEnd().endsWith('</html>')).toBe(true)
    expect(bytesOfTurn.size).toBeGreaterThan(100)
    // A piece has 16 Ki characters, of which one may become six.
    expect(Math.max(...bytesOfTurn.values())).toBeLessThan(6 * 2 * 16 * 1024)
  })
})
