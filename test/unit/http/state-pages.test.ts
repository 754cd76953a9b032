import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import type { HealthCheck } from '#src/engine/status.ts'
import { startService } from './support.ts'

const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8'
const HOSTILE = '<img src=x onerror=alert(1)>'
const CHECKS: readonly HealthCheck[] = [
  { name: 'kafka', check: () => ({ ok: true }) },
  { name: 'postgres', check: () => ({ ok: false, reason: HOSTILE, since: 0 }) },
]
const KEYS = [{ name: 'ops', role: 'admin', sha256: createHash('sha256').update('secret').digest('hex') }] as const

it.each([undefined, '*/*', 'application/json', 'application/json, text/html', 'text/plain'])(
  'programs that accept %s get what they always got',
  async accept => {
    await using service = await startService({ live: CHECKS.slice(0, 1), ready: CHECKS })
    const headers: Record<string, string> = accept === undefined ? {} : { accept }
    const ask = async (path: string) => {
      const answer = await fetch(service.url + path, { headers })
      return [answer.status, answer.headers.get('content-type'), answer.headers.get('vary'), await answer.text()]
    }
    const json = 'application/json; charset=utf-8'
    expect(await ask('/livez')).toEqual([200, json, null, '{"status":"ok"}'])
    const failing = `{"name":"postgres","ok":false,"reason":"${HOSTILE}","since":"1970-01-01T00:00:00.000Z"}`
    expect(await ask('/readyz')).toEqual([503, json, null, `{"status":"failing","checks":[${failing}]}`])
    const [status, type, vary, problem] = await ask('/nothing-here')
    expect([status, type, vary]).toEqual([404, 'application/problem+json', null])
    expect(JSON.parse(String(problem))).toMatchObject({ code: 'not_found' })
  },
)

it('a browser gets pages with the same status, and what a check says is text', async () => {
  await using service = await startService({ live: CHECKS.slice(0, 1), ready: CHECKS })
  const visit = async (path: string) => {
    const answer = await fetch(service.url + path, { headers: { accept: BROWSER } })
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(answer.headers.get('vary')).toBe('Accept')
    const page = await answer.text()
    expect(page).not.toContain('<img src=x')
    return { status: answer.status, page }
  }
  expect(await visit('/livez')).toMatchObject({ status: 200, page: expect.stringContaining('>Alive</h1>') })
  const ready = await visit('/readyz')
  expect(ready).toMatchObject({ status: 503, page: expect.stringContaining('>Not ready</h1>') })
  for (const part of ['kafka', '>ok<', 'postgres', 'fails', '&lt;img', 'since 1970-01-01'])
    expect(ready.page).toContain(part)
  expect(await visit('/nothing-here')).toMatchObject({ status: 404, page: expect.stringContaining('/admin') })
})

it('a page tells a stranger the state alone', async () => {
  await using service = await startService({ keys: KEYS, keyless: 'nobody', ready: CHECKS })
  const answer = await fetch(`${service.url}/readyz?verbose`, { headers: { accept: BROWSER } })
  const page = await answer.text()
  expect(answer.status).toBe(503)
  expect(page).toContain('Not ready')
  for (const part of ['kafka', 'postgres', '&lt;img']) expect(page).not.toContain(part)
})

it('only a page that was asked for by GET is a page', async () => {
  await using service = await startService()
  const answer = await fetch(`${service.url}/nothing-here`, { method: 'POST', headers: { accept: BROWSER } })
  expect([answer.status, answer.headers.get('content-type')]).toEqual([404, 'application/problem+json'])
})
