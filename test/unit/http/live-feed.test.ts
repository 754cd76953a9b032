import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { createLiveFeed, type LiveFeed, type LiveFeedOptions } from '#src/http/live-feed.ts'

const open: Array<() => void> = []
afterEach(() => {
  for (const close of open.splice(0)) close()
})

describe('the live feed', () => {
  it('tells of an order at once, and nothing of who ordered it', async () => {
    const { feed, watch } = await start()
    const reader = await watch()
    publish(feed, 'one')
    expect(await reader.next('order')).toEqual({
      order_uid: 'one',
      date_created: '2021-11-26T06:22:19Z',
      amount: 1817,
      currency: 'USD',
      items: 2,
    })
    expect(reader.text()).not.toContain('Testov')
    expect(reader.text()).toMatch(/^retry: \d+\n\n/)
  })

  it('shows a few of many, and counts the others', async () => {
    const { feed, watch, time } = await start()
    const reader = await watch()
    publish(feed, 'first')
    await reader.next('order')
    for (let batch = 0; batch < 100; batch++) publish(feed, ...Array.from({ length: 10 }, (_, i) => `${batch}-${i}`))
    time.pass(500)
    expect(await reader.next('more')).toEqual({ orders: 997 })
    const uids = reader.text().match(/"order_uid":"[^"]+"/g)
    expect(uids).toEqual(['first', '99-7', '99-8', '99-9'].map(uid => `"order_uid":"${uid}"`))
  })

  it('asks for no JSON while nobody watches', async () => {
    const { feed } = await start()
    feed.publish(['one'], () => {
      throw new Error('asked')
    })
  })

  it('tells who comes later only of what comes later', async () => {
    const { feed, watch } = await start()
    publish(feed, 'before')
    const reader = await watch()
    publish(feed, 'after')
    expect(await reader.next('order')).toMatchObject({ order_uid: 'after' })
    expect(reader.text()).not.toContain('before')
  })

  it('keeps the connection alive while nothing happens', async () => {
    const { watch, time } = await start()
    const reader = await watch()
    time.pass(15_000)
    await reader.until(text => text.includes(': still here\n\n'))
  })

  it('takes no more watchers than it may, and another one when one has gone', async () => {
    const { feed, watch, url } = await start({ maxWatchers: 1 })
    const reader = await watch()
    expect((await fetch(url)).status).toBe(503)
    const left = feed.watchers
    await reader.leave()
    expect([left, feed.watchers]).toEqual([1, 0])
    await watch()
  })

  it('drops a client that does not read, and goes on with the others', async () => {
    const { feed, watch, time, port, closed } = await start({ maxBehindBytes: 10_000 })
    const reader = await watch()
    const slow = connect(port, '127.0.0.1')
    open.push(() => slow.destroy())
    slow.pause()
    slow.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await reader.until(() => feed.watchers === 2)
    const dropped = closed()
    const large = 'x'.repeat(500_000)
    let count = 0
    while (feed.watchers === 2 && count < 100) {
      publish(feed, `${large}${count++}`)
      time.pass(500)
      await reader.until(text => text.endsWith(`}\n\n`) && text.includes(`x${count - 1}"`))
    }
    await dropped
    expect(feed.watchers).toBe(1)
    publish(feed, 'still-told')
    time.pass(500)
    await reader.until(text => text.includes('still-told'))
  })

  it('ends its streams when it is closed, and takes no more', async () => {
    const { feed, watch, url } = await start()
    const reader = await watch()
    feed.close()
    feed.close()
    await reader.ended
    expect((await fetch(url)).status).toBe(503)
  })
})

function publish(feed: LiveFeed, ...uids: readonly string[]): void {
  feed.publish(uids, uid => ({
    json: Buffer.from(
      JSON.stringify({
        order_uid: uid,
        delivery: { name: 'Test Testov' },
        payment: { amount: 1817, currency: 'USD' },
        items: [{}, {}],
        date_created: '2021-11-26T06:22:19Z',
      }),
    ),
  }))
}

/** A feed behind a bare server, and a clock that stands still until it is told. */
async function start(options: Partial<LiveFeedOptions> = {}) {
  const time = createTime()
  const feed = createLiveFeed({ clock: time, ...options })
  let onClosed = () => {}
  const server = createServer((_req, res) => {
    res.once('close', () => onClosed())
    if (!feed.watch(res)) res.writeHead(503).end()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  open.push(() => {
    feed.close()
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}/`
  /** Resolves when the next answer has ended. */
  const closed = () => new Promise<void>(resolve => (onClosed = resolve))
  return { feed, time, port, url, closed, watch: () => watch(url, closed) }
}

async function watch(url: string, closed: () => Promise<void>) {
  const gone = new AbortController()
  const response = await fetch(url, { signal: gone.signal })
  expect(response.headers.get('content-type')).toContain('text/event-stream')
  let text = ''
  let wake = () => {}
  const ended = (async () => {
    for await (const chunk of (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
      text += chunk
      wake()
    }
  })().catch(() => {})
  async function until(found: (text: string) => boolean): Promise<void> {
    while (!found(text)) {
      await new Promise<void>(resolve => {
        wake = resolve
        // Some conditions are about the server, which tells us nothing: they are looked at in each turn of the loop.
        setImmediate(resolve)
      })
    }
  }
  return {
    ended,
    until,
    text: () => text,
    async next(event: string): Promise<unknown> {
      const pattern = new RegExp(`event: ${event}\ndata: (.*)\n\n`)
      await until(text => pattern.test(text))
      return JSON.parse(pattern.exec(text)?.[1] ?? '')
    },
    async leave() {
      const left = closed()
      gone.abort()
      await left
    },
  }
}

function createTime() {
  let now = 0
  const sleepers = new Set<{ at: number; wake: () => void }>()
  return {
    sleep(ms: number, signal?: AbortSignal): Promise<void> {
      return new Promise(resolve => {
        function wake(): void {
          signal?.removeEventListener('abort', wake)
          resolve()
        }
        sleepers.add({ at: now + ms, wake })
        signal?.addEventListener('abort', wake)
      })
    },
    pass(ms: number): void {
      now += ms
      for (const sleeper of sleepers) {
        if (sleeper.at > now) continue
        sleepers.delete(sleeper)
        sleeper.wake()
      }
    },
  }
}
