/**
 * What the service's reads are compared with, each a process of its own: `node bench/read-servers.ts KIND URL`, where URL
 * is the service's own (`bare`, `express`) or the database's (`query`). Prints its port.
 */
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { createPool } from '#src/engine/postgres/pool.ts'
import { SECURITY_HEADERS } from '#src/http/security-headers.ts'
import { createValueReader } from '#src/read/postgres/value-reader.ts'
import { orderQueries } from '../test/support/order-stream.ts'

export const KINDS = ['bare', 'express', 'query'] as const

/** Node adds these by itself. */
const OF_NODE = /^(date|connection|keep-alive)$/i

interface Answer {
  readonly headers: readonly string[]
  readonly body: Buffer
}

if (import.meta.main) {
  const [kind, url = '', ...uids] = process.argv.slice(2)
  const server = createServer(await listenerOf(kind ?? '', url, uids))
  server.keepAliveTimeout = 65_000
  server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port))
}

async function listenerOf(kind: string, url: string, uids: readonly string[]): Promise<RequestListener> {
  switch (kind) {
    case 'bare': {
      const answers = await answersOf(url, uids)
      return (req, res) => {
        const answer = answers.get(uidOf(req.url))
        if (answer === undefined) return void res.writeHead(404).end()
        res.writeHead(200, [...answer.headers])
        res.end(answer.body)
      }
    }
    case 'express': {
      const answers = await answersOf(url, uids)
      const orders = new Map([...answers].map(([uid, { body }]) => [uid, JSON.parse(body.toString())]))
      const app = express().disable('x-powered-by')
      app.get('/order/:uid', (req, res) => {
        for (const [name, value] of SECURITY_HEADERS) res.setHeader(name, value)
        res.json(orders.get(req.params.uid))
      })
      return app
    }
    case 'query': {
      const pool = createPool({ url, schema: 'holdfast', max: 4, statementTimeoutMs: 10_000, name: 'bench' })
      const reader = createValueReader(pool, orderQueries)
      const app = express().disable('x-powered-by')
      app.get('/order/:uid', async (req, res) => {
        for (const [name, value] of SECURITY_HEADERS) res.setHeader(name, value)
        const found = await reader.read(req.params.uid)
        res.type('json').send(found?.json)
      })
      return app
    }
    default:
      throw new RangeError(`no such server: ${kind}`)
  }
}

const uidOf = (path = '') => path.slice('/order/'.length)

/** The very bytes and headers that the service sends. */
async function answersOf(url: string, uids: readonly string[]): Promise<Map<string, Answer>> {
  const answers = new Map<string, Answer>()
  for (const uid of uids) {
    const response = await fetch(`${url}/order/${uid}`)
    const headers = [...response.headers].filter(([name]) => !OF_NODE.test(name)).flat()
    answers.set(uid, { headers, body: Buffer.from(await response.arrayBuffer()) })
  }
  return answers
}
