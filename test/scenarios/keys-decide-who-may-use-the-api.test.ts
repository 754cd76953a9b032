import { createHash } from 'node:crypto'
import { existsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { expect, it } from 'vitest'
import { adminKeyOf, eventually, isReady, startService } from '../support/service.ts'
import { freshDatabase, freshTopics } from '../support/stack.ts'

const hashOf = (key: string) => createHash('sha256').update(key).digest('hex')

it('by API_KEYS, with metrics on a port of their own; or, while none are set, by the key that is made at start', async () => {
  const databaseUrl = await freshDatabase({ migrated: true })
  const stream = { ...freshTopics(), databaseUrl, roles: ['api'] as const }
  const [guarded, open] = await Promise.all([
    startService({
      ...stream,
      // Reachable by others: the keys are what makes that acceptable.
      env: { HTTP_HOST: '0.0.0.0', METRICS_PORT: '0', API_KEYS: `web:read:${hashOf('reader')}` },
    }),
    startService(stream),
  ])
  const statusOf = async (url: string, key?: string) =>
    (await fetch(url, key === undefined ? {} : { headers: { Authorization: `Bearer ${key}` } })).status

  // Given keys, nobody reads without one, from this machine either
  await eventually(() => isReady(guarded), 'being ready')
  expect(await statusOf(`${guarded.url}/orders`)).toBe(401)
  expect(await statusOf(`${guarded.url}/orders`, 'guess')).toBe(401)
  expect(await statusOf(`${guarded.url}/orders`, 'reader')).toBe(200)
  const metrics = guarded.log.find(({ event }) => event === 'metrics_started')
  expect(await statusOf(`${metrics?.url}/metrics`)).toBe(200)
  expect(await statusOf(`${guarded.url}/metrics`)).toBe(404)
  expect(guarded.log.some(({ event }) => event === 'admin_key_made')).toBe(false)

  // Given none, this machine reads. The key lies in a file of this user alone, and in no line of the log
  await eventually(() => isReady(open), 'being ready')
  const key = await adminKeyOf(open)
  const file = String(open.log.find(({ event }) => event === 'admin_key_made')?.file)
  expect(key).toMatch(/^[A-Za-z0-9_-]{43}$/)
  expect([statSync(file).mode & 0o777, statSync(dirname(file)).mode & 0o777]).toEqual([0o600, 0o700])
  expect(await statusOf(`${open.url}/orders`)).toBe(200)
  expect(await statusOf(`${open.url}/orders`, key)).toBe(200)
  expect(await statusOf(`${open.url}/orders`, 'guess')).toBe(401)
  expect(await statusOf(`${open.url}/metrics`)).toBe(200)
  await open.stop()
  expect(open.output.join('\n')).not.toContain(key)
  expect(existsSync(dirname(file))).toBe(false)
})
