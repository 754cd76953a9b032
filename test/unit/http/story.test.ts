import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import type { LetterOfKey } from '#src/engine/dead-letter-hint.ts'
import { StoreUnavailableError } from '#src/engine/errors.ts'
import { RESOLVED_LETTER } from '../../support/http-parts.ts'
import { memoryReturns } from '../../support/returns.ts'
import { ORDER, type Service, startService, UID } from './support.ts'

const hash = (key: string) => createHash('sha256').update(key).digest('hex')
const KEYS = [
  { name: 'reader', role: 'read', sha256: hash('reads') },
  { name: 'ops', role: 'admin', sha256: hash('rules') },
] as const
const LETTER: LetterOfKey = {
  ...RESOLVED_LETTER,
  events: [{ at: '2026-01-01T01:00:00.000Z', what: 'replayed', who: '<b>ada</b>', redrive: 'r4x0c2m8ab' }],
}
const parts = {
  positionOf: async (key: string) =>
    key === UID ? { origin: ORDER.origin, storedAtMs: 1_767_322_800_000 } : undefined,
  lettersOf: async () => [LETTER],
}
const STORED = {
  topic: 'orders',
  partition: 0,
  offset: '7',
  record_time: '2023-11-14T22:13:20.000Z',
  stored_at: '2026-01-02T03:00:00.000Z',
}
const ask = async (service: Service, path: string, key?: string) => {
  const answer = await service.get(path, key === undefined ? {} : { headers: { authorization: `Bearer ${key}` } })
  return { status: answer.status, body: await answer.json() }
}

it('a reader learns where the record stands and when it was stored; an operator its dead letters, too', async () => {
  await using service = await startService({ ...parts, keys: KEYS, keyless: 'nobody' })
  const path = `/view/story?key=${UID}`
  expect(await ask(service, path, 'reads')).toEqual({ status: 200, body: { key: UID, stored: STORED } })
  expect(await ask(service, path, 'rules')).toEqual({
    status: 200,
    body: { key: UID, stored: STORED, dead_letters: [{ ...LETTER, url: '/admin?letter=orders-0-3' }] },
  })
  expect((await ask(service, path)).status).toBe(401)
})

it('says that nothing is stored, and what cannot be asked', async () => {
  await using service = await startService({ ...parts, streams: [memoryReturns()] })
  expect((await ask(service, '/view/story?key=nobody')).body).toEqual({ key: 'nobody', stored: null })
  expect((await ask(service, '/view/story?key=r-1&stream=returns')).body).toEqual({ key: 'r-1', stored: null })
  expect(await ask(service, '/view/story?key=x&stream=none')).toMatchObject({
    status: 404,
    body: { code: 'no_such_stream' },
  })
  expect(await ask(service, '/view/story?key=%2F')).toMatchObject({ status: 400, body: { code: 'bad_uid' } })
  expect((await ask(service, '/view/story')).status).toBe(400)
})

it('the page without JavaScript shows it; what the tables hold is text', async () => {
  await using service = await startService({ ...parts, keys: KEYS, keyless: 'loopback' })
  const visit = async (headers: Record<string, string>) =>
    (await fetch(`${service.url}/view?order_uid=${UID}`, { headers })).text()
  const read = await visit({})
  for (const part of ['partition 0, offset 7', '14 Nov 2023, 22:13:20 UTC', '02 Jan 2026, 03:00:00 UTC'])
    expect(read.replace(/<[^>]+>/g, '').replace('> 2 Jan', '02 Jan')).toContain(part.replace(/^02 /, '2 '))
  expect(read).not.toContain('orders-0-3')
  const all = await visit({ authorization: 'Bearer rules' })
  for (const part of ['/admin?letter=orders-0-3', '/admin?replay=r4x0c2m8ab', '&lt;b&gt;ada'])
    expect(all).toContain(part)
  expect(all).not.toContain('<b>')
})

it('while the database is away, a value in memory is shown without it', async () => {
  const positionOf = () => Promise.reject(new StoreUnavailableError('refused'))
  await using service = await startService({ positionOf })
  service.put(ORDER)
  expect(await ask(service, `/view/story?key=${UID}`)).toMatchObject({
    status: 503,
    body: { code: 'store_unavailable' },
  })
  const page = await (await fetch(`${service.url}/view?order_uid=${UID}`)).text()
  expect(page).toContain('From memory')
  expect(page).not.toContain('How this order came here')
})
