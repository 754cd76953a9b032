import { expect, it, onTestFinished } from 'vitest'
import type { StoredValue } from '#src/engine/value-sql.ts'
import type { ReadyRecord } from '#src/engine/verdict.ts'
import { createCache } from '#src/read/cache/cache.ts'
import { aPipeline, until } from '../../support/pipeline-harness.ts'
import { manualClock } from './cache/support.ts'

/** Pipeline and cache, put together as the app does: what is committed goes into the cache, and the cache asks the store. */
function aReadSide() {
  const asked: string[] = []
  const cache = createCache({
    maxBytes: 1 << 20,
    ttlMs: 60_000,
    clock: manualClock(),
    reader: {
      async read(uid) {
        asked.push(uid)
        const row = harness.store.rows.get(uid)
        return row === undefined ? undefined : toStored(row)
      },
      async *newest() {},
    },
  })
  const harness = aPipeline({
    onSettled: written => cache.put((written ?? []).map(toStored)),
  })
  harness.source.give(0)
  harness.pipeline.run().catch(() => {})
  onTestFinished(() => harness.pipeline.stop())
  const settled = async (...texts: string[]) => {
    const last = harness.source.append(0, ...texts).at(-1) ?? 0n
    await until(() => harness.source.commits.get(0) === last + 1n, 'the commit')
  }
  return { harness, cache, asked, settled }
}

function toStored({ key: uid, value, origin }: ReadyRecord<string>): StoredValue {
  return { key: uid, json: Buffer.from(value), origin }
}

it('a valid order is stored and set in the cache: a read of it never asks the store', async () => {
  const { harness, cache, asked, settled } = aReadSide()
  await settled('a:1')
  expect(harness.store.rows.get('a')?.value).toBe('a:1')
  expect((await cache.get('a')).value?.json.toString()).toBe('a:1')
  expect(asked).toEqual([])
})

it('a newer version takes the place of the one before, in both', async () => {
  const { harness, cache, settled } = aReadSide()
  await settled('a:1')
  await settled('a:2')
  expect(harness.store.rows.get('a')?.value).toBe('a:2')
  expect((await cache.get('a')).value?.json.toString()).toBe('a:2')
})

it('an invalid order never gets as far as store or cache', async () => {
  const { harness, cache, settled } = aReadSide()
  await settled('bad')
  expect(harness.store.works.flatMap(({ ready }) => ready)).toEqual([])
  expect(harness.store.rows.size).toBe(0)
  expect(cache.stats().entries).toBe(0)
  expect(harness.sent).toHaveLength(1)
})

it('a miss is loaded once, however many ask, and then served from memory', async () => {
  const { cache, asked, settled } = aReadSide()
  await settled('a:1')
  cache.clear()
  const answers = await Promise.all(Array.from({ length: 20 }, () => cache.get('a')))
  expect(answers.map(({ value }) => value?.json.toString())).toEqual(Array.from({ length: 20 }, () => 'a:1'))
  expect((await cache.get('a')).hit).toBe(true)
  expect(asked).toEqual(['a'])
})

it('what the store does not know is asked for once, and not again at once', async () => {
  const { cache, asked } = aReadSide()
  expect((await cache.get('nobody')).value).toBeUndefined()
  expect((await cache.get('nobody')).hit).toBe(true)
  expect(asked).toEqual(['nobody'])
})
