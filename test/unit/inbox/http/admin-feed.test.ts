import { afterEach, describe, expect, it } from 'vitest'
import { StoreUnavailableError } from '#src/engine/errors.ts'
import { type AdminFeedOptions, createAdminFeed } from '#src/inbox/http/admin-feed.ts'
import type { StreamOverview } from '#src/inbox/http/stream-overview.ts'
import type { Redrive } from '#src/inbox/redrive-ports.ts'
import { adminStandIn } from '../../../support/admin-stand-in.ts'
import { PLAIN_REDRIVE } from '../../../support/plain-redrive.ts'
import { createTime, serveFeed, watch } from '../../http/watching.ts'
import { bearer, startAdmin } from './admin-support.ts'

const open: (() => void)[] = []
afterEach(() => {
  for (const close of open.splice(0)) close()
})

describe('the feed of operators', () => {
  it('tells at once how the stream, its dead letters and redrives are', async () => {
    const { reader, world } = await start()
    expect(await reader.next('stream')).toMatchObject({ topic: 'orders', state: 'elsewhere' })
    expect(await reader.next('dead_letters')).toEqual({ open: 0, by_reason: {}, parked: 0, attention: {} })
    expect(await reader.next('replay')).toEqual(world.redrives[0])
  })

  it('tells of the stream every two seconds, and of the others only when they have changed', async () => {
    const { reader, world, time } = await start()
    await reader.next('replay')
    await reader.until(text => count(text, 'stream') === 1)
    for (let second = 0; second < 4; second++) await aSecond(time, world)
    await reader.until(text => count(text, 'stream') === 3)
    expect([count(reader.text(), 'replay'), count(reader.text(), 'dead_letters')]).toEqual([1, 1])

    world.redrives = [{ ...aRedrive(), published: 3 }]
    world.open = 5
    for (let second = 0; second < 2; second++) await aSecond(time, world)
    await reader.until(text => count(text, 'replay') === 2 && count(text, 'dead_letters') === 2)
    expect(reader.text()).toContain('"published":3')
  })

  it('tells who comes later what the others know', async () => {
    const { reader, watch } = await start()
    await reader.next('replay')
    const second = await watch()
    expect(await second.next('stream')).toBeDefined()
    expect(await second.next('dead_letters')).toBeDefined()
    expect(await second.next('replay')).toBeDefined()
  })

  it('looks at nothing while nobody watches', async () => {
    const { reader, world, time, feed, watch } = await start()
    await reader.next('replay')
    await reader.leave()
    expect(feed.watchers).toBe(0)
    time.pass(1_000)
    await new Promise<void>(resolve => setImmediate(resolve))
    const looks = world.looks
    time.pass(60_000)
    await new Promise<void>(resolve => setImmediate(resolve))
    expect(world.looks).toBe(looks)
    const again = await watch()
    await again.next('stream')
    expect(world.looks).toBeGreaterThan(looks)
  })

  it('goes on when the database comes back', async () => {
    const { reader, world, time, errors } = await start({ away: true })
    await reader.next('stream')
    expect(count(reader.text(), 'replay')).toBe(0)
    world.away = false
    await aSecond(time, world)
    await reader.next('replay')
    expect(errors).toEqual([])
  })

  it('tells of the stream though the question for redrives is not answered, and asks that one once', async () => {
    const { reader, world, time } = await start({ silent: true })
    await reader.next('stream')
    expect(world.looks).toBe(1)
    for (let second = 0; second < 4; second++) {
      time.pass(1_000)
      for (let turn = 0; turn < 5; turn++) await new Promise<void>(resolve => setImmediate(resolve))
    }
    await reader.until(text => count(text, 'stream') === 3)
    expect([world.looks, count(reader.text(), 'replay')]).toEqual([1, 0])
  })

  it('tells of a bug, and goes on', async () => {
    const { reader, world, time, errors } = await start({ broken: true })
    await reader.next('stream')
    world.broken = false
    await aSecond(time, world)
    await reader.next('replay')
    expect(errors).toMatchObject([{ message: 'ours' }])
  })

  it('takes no more watchers than it may', async () => {
    const { url, reader } = await start({}, { maxWatchers: 1 })
    expect((await fetch(url)).status).toBe(503)
    expect(reader.text()).toContain('retry: ')
  })

  it('ends with the server', async () => {
    await using service = await startAdmin()
    const reader = await watch(`${service.url}/admin/events`, async () => {}, { headers: bearer('chief') })
    await reader.next('stream')
    await service.server.close()
    await reader.ended
    expect(service.facts).toContainEqual(expect.objectContaining({ route: '/admin/events', status: 200 }))
  })
})

function count(text: string, event: string): number {
  return text.split(`event: ${event}\n`).length - 1
}

/** A second passes, and the feed has looked. */
async function aSecond(time: ReturnType<typeof createTime>, world: { looks: number }): Promise<void> {
  const before = world.looks
  time.pass(1_000)
  while (world.looks === before) await new Promise<void>(resolve => setImmediate(resolve))
  // What it looked at is told in the turns that follow.
  for (let turn = 0; turn < 5; turn++) await new Promise<void>(resolve => setImmediate(resolve))
}

async function start(
  given: { away?: boolean; broken?: boolean; silent?: boolean } = {},
  options: Partial<AdminFeedOptions> = {},
) {
  const time = createTime()
  const errors: unknown[] = []
  const world = { redrives: [aRedrive()], open: 0, looks: 0, away: false, broken: false, silent: false, ...given }
  const overview = await adminStandIn().overview()
  const feed = createAdminFeed({
    clock: time,
    overview: async (): Promise<StreamOverview> => {
      const oldest_age_seconds = Math.random()
      const dead_letters = { open: world.open, by_reason: {}, parked: 0, oldest_age_seconds, attention: {} }
      return { ...overview, dead_letters: world.away ? null : dead_letters }
    },
    async redrives() {
      world.looks += 1
      if (world.away) throw new StoreUnavailableError('no connection')
      if (world.broken) throw new TypeError('ours')
      if (world.silent) await new Promise(() => {})
      return world.redrives
    },
    onError: error => errors.push(error),
    ...options,
  })
  const served = await serveFeed(feed)
  open.push(served.close)
  return { feed, time, world, errors, ...served, reader: await served.watch() }
}

function aRedrive(): Redrive {
  return { ...PLAIN_REDRIVE, total: 10, pending: 10 }
}
