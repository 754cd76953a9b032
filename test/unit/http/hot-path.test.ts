import { request } from 'node:http'
import { expect, it } from 'vitest'
import { ORDER, startService, UID } from './support.ts'

/** Names and values as they stand on the wire, sorted; `Date` is the moment's. */
async function answerOf(url: string, headers: Record<string, string> = {}) {
  return await new Promise<{ status: number | undefined; headers: string[]; body: string }>((resolve, reject) => {
    const asked = request(url, { headers }, res => {
      const chunks: Buffer[] = []
      res.on('data', chunk => chunks.push(chunk))
      res.on('end', () => {
        const lines = res.rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${res.rawHeaders[i + 1]}`] : []))
        resolve({
          status: res.statusCode,
          headers: lines.filter(line => !line.startsWith('Date:')).toSorted(),
          body: Buffer.concat(chunks).toString(),
        })
      })
    })
    asked.on('error', reject)
    asked.end()
  })
}

it('answers what is held in memory as Express would, header for header', async () => {
  await using service = await startService()
  service.put(ORDER)
  // An address that the hot path does not know, and that means the same
  const byExpress = await answerOf(`${service.url}/orders/${UID}`)
  const hot = await answerOf(`${service.url}/order/${UID}`)
  expect(hot).toEqual(byExpress)
  expect(hot.status).toBe(200)
  expect(hot.headers).toContain('Cache-Status: holdfast; hit; ttl=3600')
  expect(hot.headers.some(line => line.startsWith('Content-Security-Policy: '))).toBe(true)

  const etag = hot.headers.find(line => line.startsWith('ETag: '))?.slice('ETag: '.length) ?? ''
  const held = { 'If-None-Match': etag }
  const notModified = await answerOf(`${service.url}/order/${UID}`, held)
  expect(notModified).toEqual(await answerOf(`${service.url}/orders/${UID}`, held))
  expect(notModified).toMatchObject({ status: 304, body: '' })
})

it('tells of its requests under the same route, once each', async () => {
  await using service = await startService()
  service.put(ORDER)
  await service.get(`/order/${UID}`)
  expect(await service.firstServed).toMatchObject({ method: 'GET', route: '/order/:uid', status: 200 })
  expect(service.facts.filter(({ kind }) => kind === 'http_served')).toHaveLength(1)
})

it('answers nobody who may not read', async () => {
  await using service = await startService({ keyless: 'nobody' })
  service.put(ORDER)
  expect((await service.get(`/order/${UID}`)).status).toBe(401)
  expect((await answerOf(`${service.url}/order/${UID}`, { Authorization: 'Bearer guessed' })).status).toBe(401)
})
