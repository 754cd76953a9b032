import { readFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { expect } from 'vitest'
import { systemClock } from '#src/clock.ts'
import type { DeadLetterHint, LetterOfKey } from '#src/engine/dead-letter-hint.ts'
import { BrokerUnavailableError, StoreUnavailableError } from '#src/engine/errors.ts'
import type { StoredValue } from '#src/engine/value-sql.ts'
import { startHttp } from '#src/http/server.ts'
import { createCache } from '#src/read/cache/cache.ts'
import { createLiveFeed, type LiveFeed } from '#src/read/http/live-feed.ts'
import type { StreamReading } from '#src/read/http/stream-reading.ts'
import type { ApiKey, Keyless } from '#src/settings/access.ts'
import { orderStream, positionOf } from '../support/http-parts.ts'
import { createOrderJudge } from '../support/order.ts'
import { openPage } from './support.ts'

export const MODEL = JSON.parse(readFileSync(new URL('../../data/model.json', import.meta.url), 'utf8'))
export const UID: string = MODEL.order_uid

/** The real HTTP server and cache; Kafka and Postgres are a map. */
export interface Pages extends AsyncDisposable {
  readonly url: string
  /** As a commit does: into the store, into the cache, into the live list. */
  store(...orders: readonly TestOrder[]): readonly StoredValue[]
  /** Cuts all streams of the live list, as a proxy or a bad line does. */
  dropWatchers(): void
  readonly away: { store: boolean; kafka: boolean }
  /** Opens the page, tells its story, and holds that nothing went wrong in the console meanwhile. */
  visit(path: string, story: (page: Page) => Promise<void>, options?: BrowserContextOptions): Promise<void>
}

export interface TestOrder {
  readonly order_uid: string
}

/** This uid is never in memory, and asking the store for it fails. */
export const STORE_IS_AWAY = 'store-is-away'

export async function startPages(
  browser: Browser,
  options: {
    orders?: readonly TestOrder[]
    keys?: readonly ApiKey[]
    keyless?: Keyless
    writesPerMinute?: number
    deadLetters?: Readonly<Record<string, DeadLetterHint>>
    /** All dead letters of a uid, settled ones too. */
    letters?: Readonly<Record<string, readonly LetterOfKey[]>>
    /** Besides orders. */
    streams?: readonly StreamReading[]
  } = {},
): Promise<Pages> {
  const stored = new Map((options.orders ?? []).map(order => [order.order_uid, toStored(order)]))
  const away = { store: false, kafka: false }
  const judge = createOrderJudge({ maxBytes: 1024 * 1024 })
  const feed = createLiveFeed({ clock: systemClock, names: orderStream.http })
  const streams = new Set<ServerResponse>()
  const watched: LiveFeed = {
    ...feed,
    watch(res) {
      streams.add(res)
      return feed.watch(res)
    },
  }
  const cache = createCache({
    maxBytes: 1 << 20,
    ttlMs: 0,
    reader: {
      async read(uid) {
        if (away.store || uid === STORE_IS_AWAY) throw new StoreUnavailableError('connection refused')
        return stored.get(uid)
      },
      async *newest() {},
    },
  })

  function store(...orders: readonly TestOrder[]): readonly StoredValue[] {
    const values = orders.map(toStored)
    for (const value of values) {
      stored.delete(value.key)
      stored.set(value.key, value)
    }
    cache.put(values)
    feed.publish(values, value => value)
    return values
  }

  const server = await startHttp({
    host: '127.0.0.1',
    port: 0,
    allowedHosts: [],
    auth: { keys: options.keys ?? [], keyless: options.keyless ?? 'loopback' },
    limits: { writesPerMinute: options.writesPerMinute ?? 1000, badKeysPerMinute: 10 },
    streams: [
      {
        stream: orderStream,
        cache,
        catalog: {
          async page({ limit }) {
            if (away.store) throw new StoreUnavailableError('connection refused')
            return { values: [...stored.values()].toReversed().slice(0, limit), next: undefined }
          },
        },
        outcomes: { outcomeOf: async uid => ({ kind: stored.has(uid) ? 'stored' : 'pending' }) },
        positions: { of: async uid => positionOf(stored.get(uid)) },
        deadLetters: {
          ofKey: async uid => options.deadLetters?.[uid],
          allOfKey: async uid => options.letters?.[uid] ?? [],
        },
        intake: {
          maxBytes: 1024 * 1024,
          judge: value => judge({ key: null, value }),
          async publish(_uid, value) {
            if (away.kafka) throw new BrokerUnavailableError('no acknowledgement')
            const [written] = store(JSON.parse(value.toString()))
            if (written === undefined) throw new RangeError('nothing was stored')
            return written.origin
          },
        },
        feed: watched,
      },
      ...(options.streams ?? []),
    ],
    clock: systemClock,
    live: [],
    ready: [
      { name: 'kafka', check: () => ({ ok: true }) },
      { name: 'postgres', check: () => ({ ok: false, reason: 'connection refused', since: Date.now() }) },
    ],
    metrics: { contentType: { text: 'text/plain', openmetrics: 'text/plain' }, render: async () => '' },
    observer: { observe: () => {} },
  })

  return {
    url: server.url,
    store,
    dropWatchers() {
      for (const res of streams) res.destroy()
    },
    away,
    async visit(path, story, context = {}) {
      const { page, wrong, close } = await openPage(browser, context)
      try {
        await page.goto(server.url + path)
        await story(page)
        expect(wrong).toEqual([])
      } finally {
        await close()
      }
    },
    [Symbol.asyncDispose]: () => server.close(),
  }
}

let offset = 0n

function toStored(order: TestOrder): StoredValue {
  offset += 1n
  const origin = { topic: 'orders', partition: 0, offset, timestampMs: 0 }
  return { key: order.order_uid, json: Buffer.from(JSON.stringify(order)), origin }
}

/** Resolves with the text of the result once it holds `expected`. */
export async function resultWith(page: Page, expected: string): Promise<string> {
  await page.locator('#result', { hasText: expected }).waitFor()
  return (await page.locator('#result').textContent()) ?? ''
}
