import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { createLiveFeed, type LiveFeed, type LiveFeedOptions } from '#src/read/http/live-feed.ts'
import { orderStream } from '../../support/http-parts.ts'
import { createTime, serveFeed } from './watching.ts'

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
    key: uid,
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
  const feed = createLiveFeed({ clock: time, names: orderStream.http, ...options })
  const served = await serveFeed(feed)
  open.push(served.close)
  return { feed, time, ...served }
}
