import { describe, expect, it } from 'vitest'
import { StoreUnavailableError } from '#src/engine/errors.ts'
import type { StoredValue } from '#src/engine/value-sql.ts'
import { createCache } from '#src/read/cache/cache.ts'
import { handHeldReader, manualClock, version } from './support.ts'

const NEVER = new AbortController().signal

function given(maxBytes = 1 << 20) {
  const reader = handHeldReader()
  const cache = createCache({ maxBytes, ttlMs: 0, reader, clock: manualClock() })
  return { reader, cache }
}

/** Newest first; `between` runs after that many were taken. */
async function* newestFirst(count: number, between: Record<number, () => void> = {}): AsyncGenerator<StoredValue> {
  for (let i = 0; i < count; i++) {
    between[i]?.()
    yield version(`order-${count - i}`, BigInt(count - i))
  }
}

describe('warming', () => {
  it('puts in the newest, up to the limit', async () => {
    const { reader, cache } = given()
    reader.holdsNewest(newestFirst(10))
    expect(await cache.warm(3, NEVER)).toBe(3)
    expect((await cache.get('order-10')).hit).toBe(true)
    expect((await cache.get('order-8')).hit).toBe(true)
    expect(cache.stats().entries).toBe(3)
  })

  it('stops when the cache is full, and evicts nothing', async () => {
    const { reader, cache } = given(10_000)
    cache.put([version('live', 99n)])
    reader.holdsNewest(newestFirst(1_000))
    const added = await cache.warm(Number.POSITIVE_INFINITY, NEVER)
    expect(added).toBeGreaterThan(2)
    expect(cache.stats()).toMatchObject({ entries: added + 1, evictions: { size: 0 } })
    expect((await cache.get('live')).hit).toBe(true)
  })

  it('leaves the newest the last to be evicted', async () => {
    const { reader, cache } = given(10_000)
    reader.holdsNewest(newestFirst(1_000))
    const added = await cache.warm(1_000, NEVER)
    for (let i = 1; i < added; i++) cache.put([version(`later-${i}`, 2_000n)])
    expect((await cache.get('order-1000')).hit).toBe(true)
  })

  it('does not put the older version over one that was written meanwhile', async () => {
    const { reader, cache } = given()
    reader.holdsNewest(newestFirst(3, { 1: () => cache.put([version('order-1', 50n)]) }))
    expect(await cache.warm(10, NEVER)).toBe(2)
    expect((await cache.get('order-1')).value?.json.toString()).toBe('order-1@50')
  })

  it('leaves out what somebody else wrote after the page was read', async () => {
    const { reader, cache } = given()
    reader.holdsNewest(newestFirst(3, { 1: () => cache.drop(['order-1']) }))
    expect(await cache.warm(10, NEVER)).toBe(2)
    expect(cache.stats().entries).toBe(2)
  })

  it('begins anew when all is cleared meanwhile', async () => {
    const { reader, cache } = given()
    reader.holdsNewest(
      newestFirst(3, {
        2: () => {
          cache.clear()
          reader.holdsNewest(newestFirst(2))
        },
      }),
    )
    expect(await cache.warm(10, NEVER)).toBe(2)
    expect(cache.stats().entries).toBe(2)
  })

  it('ends early, without an error, when it is called off', async () => {
    const { reader, cache } = given()
    const controller = new AbortController()
    reader.holdsNewest(newestFirst(10, { 4: () => controller.abort() }))
    expect(await cache.warm(10, controller.signal)).toBe(4)
  })

  it('says so when the store goes away, and can be tried again', async () => {
    const { reader, cache } = given()
    reader.holdsNewest(
      newestFirst(3, {
        1: () => {
          throw new StoreUnavailableError('connection reset')
        },
      }),
    )
    await expect(cache.warm(10, NEVER)).rejects.toThrow(StoreUnavailableError)
    reader.holdsNewest(newestFirst(3))
    expect(await cache.warm(10, NEVER)).toBe(2)
  })
})
