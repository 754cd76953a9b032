import { describe, expect, it } from 'vitest'
import { StoreUnavailableError } from '#src/engine/errors.ts'
import { createCache } from '#src/read/cache/cache.ts'
import type { ValueCache } from '#src/read/read-side.ts'
import { handHeldReader, manualClock, version } from './support.ts'

const MEGABYTE = 1 << 20
const HOUR = 3_600_000

function given(options: { maxBytes?: number; ttlMs?: number } = {}) {
  const reader = handHeldReader()
  const clock = manualClock()
  const cache = createCache({ maxBytes: options.maxBytes ?? MEGABYTE, ttlMs: options.ttlMs ?? HOUR, reader, clock })
  return { reader, clock, cache }
}

const text = (json: Buffer | undefined) => json?.toString()

describe('a backlog', () => {
  it('outruns the cache when it is longer than what fits, by the size of what is held', () => {
    const { cache } = given({ maxBytes: MEGABYTE })
    expect(cache.outrunBy(0)).toBe(false)
    // Empty: a typical order is taken for granted.
    expect(cache.outrunBy(400)).toBe(false)
    expect(cache.outrunBy(450)).toBe(true)
    cache.put([version('a', 1n, 'x'.repeat(50_000))])
    expect(cache.outrunBy(20)).toBe(false)
    expect(cache.outrunBy(21)).toBe(true)
  })

  it('outruns a cache that holds nothing at once', () => {
    const { cache } = given({ maxBytes: 0 })
    expect(cache.outrunBy(0)).toBe(false)
    expect(cache.outrunBy(1)).toBe(true)
  })
})

describe('a lookup', () => {
  it('answers a hit without asking the store', async () => {
    const { cache, reader } = given()
    cache.put([version('a', 1n)])
    const { value, hit, ttlMs } = await cache.get('a')
    expect(text(value?.json)).toBe('a@1')
    expect(hit).toBe(true)
    expect(ttlMs).toBe(HOUR)
    expect(reader.asked).toEqual([])
  })

  it('loads a miss once, however many ask, and holds it afterwards', async () => {
    const { cache, reader } = given()
    const three = [cache.get('a'), cache.get('a'), cache.get('a')]
    reader.answer('a', version('a', 1n))
    const answers = await Promise.all(three)
    expect(answers.map(answer => text(answer.value?.json))).toEqual(['a@1', 'a@1', 'a@1'])
    expect(answers.map(answer => answer.collapsed)).toEqual([false, true, true])
    expect(answers[0]).toMatchObject({ hit: false, stored: true })
    expect((await cache.get('a')).hit).toBe(true)
    expect(reader.asked).toEqual(['a'])
  })

  it('tells everyone who waits when the store is away, and asks again next time', async () => {
    const { cache, reader } = given()
    const both = [cache.get('a'), cache.get('a')]
    reader.fail('a', new StoreUnavailableError('connection refused'))
    for (const one of both) await expect(one).rejects.toThrow(StoreUnavailableError)
    const again = cache.get('a')
    reader.answer('a', version('a', 1n))
    expect(text((await again).value?.json)).toBe('a@1')
  })

  it('remembers for a moment that there is no such order', async () => {
    const { cache, reader, clock } = given()
    const first = cache.get('nobody')
    reader.answer('nobody', undefined)
    expect(await first).toMatchObject({ value: undefined, hit: false })
    expect(await cache.get('nobody')).toMatchObject({ value: undefined, hit: true })
    expect(reader.asked).toEqual(['nobody'])
    clock.advance(2_000)
    const later = cache.get('nobody')
    reader.answer('nobody', version('nobody', 1n))
    expect(text((await later).value?.json)).toBe('nobody@1')
  })

  it('forgets at once that there was no such order when it is written', async () => {
    const { cache, reader } = given()
    const first = cache.get('a')
    reader.answer('a', undefined)
    await first
    cache.put([version('a', 1n)])
    expect(text((await cache.get('a')).value?.json)).toBe('a@1')
  })

  it.each([
    ['somebody else writes it', (cache: ValueCache) => cache.drop(['a'])],
    ['all is cleared', (cache: ValueCache) => cache.clear()],
    ['it is written here and does not fit', (cache: ValueCache) => cache.put([version('a', 1n, 'x'.repeat(MEGABYTE))])],
  ])('forgets that there was no such order when %s', async (_what, happens) => {
    const { cache, reader } = given()
    const first = cache.get('a')
    reader.answer('a', undefined)
    await first
    happens(cache)
    const later = cache.get('a')
    reader.answer('a', version('a', 1n))
    expect(text((await later).value?.json)).toBe('a@1')
  })

  it('does not serve beyond the time to live', async () => {
    const { cache, reader, clock } = given({ ttlMs: 1_000 })
    cache.put([version('a', 1n)])
    clock.advance(400)
    expect(await cache.get('a')).toMatchObject({ hit: true, ttlMs: 600 })
    clock.advance(601)
    const later = cache.get('a')
    reader.answer('a', version('a', 1n))
    expect((await later).hit).toBe(false)
  })
})

describe('an older version never comes back', () => {
  it('when two commits are put in the wrong order', async () => {
    const { cache } = given()
    cache.put([version('a', 2n)])
    cache.put([version('a', 1n)])
    expect(text((await cache.get('a')).value?.json)).toBe('a@2')
  })

  it('when the topic was created again, and later versions have lower offsets: the store says which one it has', async () => {
    const { cache, reader } = given()
    const stored = version('a', 900n)
    cache.put([stored])
    const { timestampMs } = stored.origin
    cache.put([{ ...version('a', 5n), origin: { ...stored.origin, offset: 5n, timestampMs: timestampMs + 1 } }])
    const asked = cache.get('a')
    reader.answer('a', version('a', 5n))
    expect(text((await asked).value?.json)).toBe('a@5')
  })

  it('when a write overtakes the load', async () => {
    const { cache, reader } = given()
    const asked = cache.get('a')
    cache.put([version('a', 2n)])
    reader.answer('a', version('a', 1n))
    expect(text((await asked).value?.json)).toBe('a@2')
    expect(text((await cache.get('a')).value?.json)).toBe('a@2')
  })

  it('when a write overtakes the load and is evicted before the load ends', async () => {
    const { cache, reader } = given({ maxBytes: 2_000 })
    const asked = cache.get('a')
    cache.put([version('a', 2n)])
    cache.put([version('b', 1n)])
    expect(cache.stats().entries).toBe(1)
    const askedLater = cache.get('a')
    reader.answer('a', version('a', 1n))
    expect(text((await asked).value?.json)).toBe('a@2')
    expect(text((await askedLater).value?.json)).toBe('a@2')
    expect(text((await cache.get('b')).value?.json)).toBe('b@1')
  })

  it('when two writes overtake the load in the wrong order', async () => {
    const { cache, reader } = given({ maxBytes: 0 })
    const asked = cache.get('a')
    cache.put([version('a', 3n)])
    cache.put([version('a', 2n)])
    reader.answer('a', version('a', 1n))
    expect(text((await asked).value?.json)).toBe('a@3')
  })

  it('when somebody else writes while the load is under way: it leaves nothing, and who asks afterwards asks anew', async () => {
    const { cache, reader } = given()
    const before = cache.get('a')
    cache.drop(['a'])
    const after = cache.get('a')
    reader.answer('a', version('a', 1n))
    expect(await before).toMatchObject({ stored: false })
    reader.answer('a', version('a', 2n))
    expect(text((await after).value?.json)).toBe('a@2')
    expect(text((await cache.get('a')).value?.json)).toBe('a@2')
    expect(reader.asked).toEqual(['a', 'a'])
  })

  it('when all is cleared while the load is under way', async () => {
    const { cache, reader } = given()
    const before = cache.get('a')
    cache.clear()
    reader.answer('a', version('a', 1n))
    await before
    expect(cache.stats().entries).toBe(0)
  })

  it('when "there is none" comes in after the write', async () => {
    const { cache, reader } = given()
    const asked = cache.get('a')
    cache.put([version('a', 1n)])
    reader.answer('a', undefined)
    expect(text((await asked).value?.json)).toBe('a@1')
    expect((await cache.get('a')).value).toBeDefined()
  })

  it('when "there is none" comes in after somebody else has written', async () => {
    const { cache, reader } = given()
    const before = cache.get('a')
    cache.drop(['a'])
    reader.answer('a', undefined)
    await before
    const after = cache.get('a')
    reader.answer('a', version('a', 1n))
    expect(text((await after).value?.json)).toBe('a@1')
  })

  it('when the newer version is too large for the cache', async () => {
    const { cache, reader } = given({ maxBytes: 4_000 })
    cache.put([version('a', 1n)])
    cache.put([version('a', 2n, 'x'.repeat(4_000))])
    const asked = cache.get('a')
    reader.answer('a', version('a', 2n))
    expect(text((await asked).value?.json)).toBe('a@2')
    expect(reader.asked).toEqual(['a'])
  })

  it('answers from the write when the store fails meanwhile', async () => {
    const { cache, reader } = given()
    const asked = cache.get('a')
    cache.put([version('a', 1n)])
    reader.fail('a', new StoreUnavailableError('connection reset'))
    expect(text((await asked).value?.json)).toBe('a@1')
  })
})

describe('what is held', () => {
  it('stays within the bound, overhead counted', () => {
    const { cache } = given({ maxBytes: 100_000 })
    for (let i = 0; i < 1_000; i++) cache.put([version(`order-${i}`, BigInt(i))])
    const { bytes, entries, evictions } = cache.stats()
    expect(bytes).toBeLessThanOrEqual(100_000)
    // A few bytes of JSON each: without their overhead, thousands would fit.
    expect(entries).toBeLessThan(100)
    expect(entries + evictions.size).toBe(1_000)
  })

  it('is a copy that pins no shared slab', async () => {
    const { cache } = given()
    const shared = Buffer.from('{"order_uid":"a"}')
    expect(shared.buffer.byteLength).toBeGreaterThan(shared.length)
    cache.put([{ ...version('a', 1n), json: shared }])
    const { value } = await cache.get('a')
    expect(value?.json.buffer.byteLength).toBe(shared.length)
    expect(value?.json.equals(shared)).toBe(true)
  })

  it('has one tag for equal bytes, and another for others', async () => {
    const { cache } = given()
    cache.put([version('a', 1n), version('b', 1n, 'a@1'), version('c', 1n)])
    const [a, b, c] = await Promise.all(['a', 'b', 'c'].map(uid => cache.get(uid)))
    expect(a?.value?.etag).toMatch(/^"[A-Za-z0-9_-]{27}"$/)
    expect(a?.value?.etag).toBe(b?.value?.etag)
    expect(a?.value?.etag).not.toBe(c?.value?.etag)
  })

  it('is counted by how lookups ended', async () => {
    const { cache, reader } = given()
    const both = [cache.get('a'), cache.get('a')]
    reader.answer('a', version('a', 1n))
    await Promise.all(both)
    await cache.get('a')
    const none = cache.get('b')
    reader.answer('b', undefined)
    await none
    await cache.get('b')
    cache.drop(['a'])
    expect(cache.stats()).toMatchObject({
      entries: 0,
      bytes: 0,
      requests: { hit: 1, negative_hit: 1, miss: 2, collapsed: 1 },
      evictions: { size: 0, expired: 0, invalidated: 1 },
    })
  })
})
