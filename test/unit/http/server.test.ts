import { Agent, request } from 'node:http'
import { describe, expect, it } from 'vitest'
import { UsageError } from '#src/engine/errors.ts'
import type { StoredValue } from '#src/engine/value-sql.ts'
import { ORDER, startService, UID } from './support.ts'

describe('probes', () => {
  const broken = {
    name: 'breakers',
    check: () => ({ ok: false, reason: 'postgres is away', since: 1_700_000_000_000 }),
  }
  const fine = { name: 'migrations', check: () => ({ ok: true }) }

  it('is ready when every check holds', async () => {
    await using service = await startService({ ready: [fine] })
    const response = await service.get('/readyz')
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({ status: 'ok' })
  })

  it('names each check that fails, and why', async () => {
    await using service = await startService({ ready: [fine, broken] })
    const response = await service.get('/readyz')
    expect(response.status).toBe(503)
    expect(await response.json()).toEqual({
      status: 'failing',
      checks: [{ name: 'breakers', ok: false, reason: 'postgres is away', since: '2023-11-14T22:13:20.000Z' }],
    })
  })

  it('names them all when asked to be verbose', async () => {
    await using service = await startService({ ready: [fine, broken] })
    const body = await (await service.get('/readyz?verbose')).json()
    expect(body).toMatchObject({
      checks: [
        { name: 'migrations', ok: true },
        { name: 'breakers', ok: false },
      ],
    })
  })

  it('stays alive while it is not ready', async () => {
    await using service = await startService({ ready: [broken], live: [fine] })
    expect((await service.get('/livez')).status).toBe(200)
  })

  it('takes a check that throws for one that fails', async () => {
    const throwing = {
      name: 'odd',
      check: () => {
        throw new Error('no')
      },
    }
    await using service = await startService({ live: [throwing] })
    expect((await service.get('/livez')).status).toBe(503)
  })
})

describe('every answer', () => {
  it('lets a browser run and load only what is ours', async () => {
    await using service = await startService()
    for (const path of ['/', `/order/${UID}`, '/nowhere']) {
      const { headers } = await service.get(path)
      expect(headers.get('content-security-policy')).toBe(
        "default-src 'none';script-src 'self';style-src 'self';connect-src 'self';img-src 'self' data:;base-uri 'none';form-action 'self';frame-ancestors 'none'",
      )
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.has('x-powered-by')).toBe(false)
    }
  })

  it('is timed under the pattern of its route, never under its path', async () => {
    await using service = await startService()
    const paths = [
      `/order/${UID}`,
      '/order/nobody',
      `/orders/${UID}`,
      '/livez',
      '/',
      '/style.css',
      '/nowhere',
      '/../../etc/passwd',
    ]
    for (const path of paths) await (await service.get(path)).arrayBuffer()
    await service.server.close()
    const served = service.facts.filter(fact => fact.kind === 'http_served')
    expect(served.map(({ route, status }) => `${route} ${status}`)).toEqual([
      '/order/:uid 200',
      '/order/:uid 404',
      '/orders/:uid 200',
      '/livez 200',
      '/ 200',
      'static 200',
      'unmatched 404',
      'unmatched 404',
    ])
    for (const { seconds } of served) expect(seconds).toBeGreaterThan(0)
  })

  it('serves the metrics page as it is rendered', async () => {
    await using service = await startService({ render: async () => 'holdfast_build_info 1\n' })
    const response = await service.get('/metrics')
    expect(response.headers.get('content-type')).toContain('version=0.0.4')
    expect(await response.text()).toBe('holdfast_build_info 1\n')
  })
})

describe('starting and stopping', () => {
  it('names port and setting when the port is in use', async () => {
    await using service = await startService()
    const second = startService({ port: service.server.port })
    await expect(second).rejects.toThrow(UsageError)
    await expect(second).rejects.toThrow(new RegExp(`Port ${service.server.port} .*HTTP_PORT`))
  })

  it('answers what is under way, then lets go of a connection that would be kept alive', async () => {
    const store = Promise.withResolvers<StoredValue | undefined>()
    const asked = Promise.withResolvers<void>()
    await using service = await startService({
      read: () => {
        asked.resolve()
        return store.promise
      },
      drainTimeoutMs: 60_000,
    })
    const agent = new Agent({ keepAlive: true })
    const answered = statusOf(`${service.url}/order/${UID}`, agent)
    await asked.promise
    const closed = service.server.close()
    store.resolve(ORDER)
    expect(await answered).toBe(200)
    await closed
    agent.destroy()
    await expect(service.get('/livez')).rejects.toThrow()
  })

  it('cuts what does not end within the drain timeout, and may be closed twice', async () => {
    const asked = Promise.withResolvers<void>()
    await using service = await startService({
      read: () => {
        asked.resolve()
        return new Promise(() => {})
      },
      drainTimeoutMs: 10,
    })
    const answered = statusOf(`${service.url}/order/${UID}`, new Agent())
    const cut = expect(answered).rejects.toThrow('socket hang up')
    await asked.promise
    await Promise.all([service.server.close(), service.server.close()])
    await cut
    expect(await service.firstServed).toMatchObject({ route: '/order/:uid', status: 499 })
  })
})

function statusOf(url: string, agent: Agent): Promise<number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>()
  request(url, { agent }, response => {
    response.resume()
    response.on('end', () => resolve(response.statusCode))
  })
    .on('error', reject)
    .end()
  return promise
}
