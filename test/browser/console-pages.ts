import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { expect } from 'vitest'
import { startHttp } from '#src/http/server.ts'
import type { AdminFeed } from '#src/inbox/http/admin-feed.ts'
import { createCache } from '#src/read/cache/cache.ts'
import type { StreamReading } from '#src/read/http/stream-reading.ts'
import { httpParts, memoryOrders, orderReading } from '../support/http-parts.ts'
import { type ConsoleStandIn, consoleStandIn } from './console-stand-in.ts'
import { openPage } from './support.ts'

export const KEY = 'the-key-of-an-operator'
export const READER = 'the-key-of-a-reader'

/** The console on the real HTTP server; what is behind it is in memory. */
export interface ConsolePages extends AsyncDisposable {
  readonly url: string
  readonly inbox: ConsoleStandIn
  /** Cuts all streams of events, as a proxy or a bad line does. */
  dropWatchers(): void
  /** Opens the page with the key given, tells its story, and holds that nothing went wrong in the browser meanwhile. */
  visit(path: string, story: (page: Page) => Promise<void>, options?: BrowserContextOptions): Promise<void>
  /** The same as somebody who has given no key. */
  visitWithoutKey(path: string, story: (page: Page) => Promise<void>): Promise<void>
}

export async function startConsole(
  browser: Browser,
  {
    fill = () => {},
    badKeysPerMinute = 100,
    traceUrl,
    streams = [],
  }: {
    fill?: (inbox: ConsoleStandIn) => void
    badKeysPerMinute?: number
    traceUrl?: string
    streams?: readonly StreamReading[]
  } = {},
): Promise<ConsolePages> {
  const inbox = consoleStandIn()
  fill(inbox)
  const watchers = new Set<ServerResponse>()
  const feed: AdminFeed = {
    ...inbox.feed,
    watch(res) {
      watchers.add(res)
      return inbox.feed.watch(res)
    },
  }
  const cache = createCache({
    maxBytes: 1 << 20,
    ttlMs: 0,
    reader: { read: async () => undefined, async *newest() {} },
  })
  const server = await startHttp({
    ...httpParts(),
    auth: { keys: [keyOf('ada', 'admin', KEY), keyOf('reader', 'read', READER)], keyless: 'loopback' },
    limits: { writesPerMinute: 10_000, badKeysPerMinute },
    streams: [orderReading(memoryOrders(), cache), ...streams],
    // The other streams show what the first one does.
    admin: [
      { ...inbox, feed, traceUrl },
      ...streams.map(({ stream: { name } }) => ({ ...inbox, stream: { ...inbox.stream, name }, feed, traceUrl })),
    ],
  })
  const visits = visitsOf(browser, server.url)
  return {
    url: server.url,
    inbox,
    dropWatchers() {
      for (const res of watchers) res.destroy()
    },
    ...visits,
    [Symbol.asyncDispose]: () => server.close(),
  }
}

/** How a console at `url` is visited, whatever is behind it. */
export function visitsOf(browser: Browser, url: string, key = KEY): Pick<ConsolePages, 'visit' | 'visitWithoutKey'> {
  async function visit(path: string, story: (page: Page) => Promise<void>, given: string | undefined, options = {}) {
    const { page, wrong, close } = await openPage(browser, options)
    try {
      if (given !== undefined) {
        await page.addInitScript(`sessionStorage.setItem('holdfast.key', ${JSON.stringify(given)})`)
      }
      await page.goto(url + path)
      await story(page)
      expect(wrong).toEqual([])
    } finally {
      await close()
    }
  }
  return {
    visit: (path, story, options) => visit(path, story, key, options),
    visitWithoutKey: (path, story) => visit(path, story, undefined),
  }
}

function keyOf(name: string, role: 'admin' | 'read', key: string) {
  return { name, role, sha256: createHash('sha256').update(key).digest('hex') }
}
