import { describe, expect, it } from 'vitest'
import { StoreUnavailableError } from '#src/engine/errors.ts'
import { createCache } from '#src/read/cache/cache.ts'
import { handHeldReader, manualClock, version } from './support.ts'

const WRITE_TIMEOUT_MS = 10_000

function given() {
  const reader = handHeldReader()
  const clock = manualClock()
  const cache = createCache({ maxBytes: 1 << 20, ttlMs: 0, reader, clock, writeTimeoutMs: WRITE_TIMEOUT_MS })
  return { reader, clock, cache }
}

const text = (json: Buffer | undefined) => json?.toString()

describe('when another replica has written', () => {
  it('asks the store again, and holds the new version', async () => {
    const { cache, reader } = given()
    cache.put([version('a', 1n)])
    cache.overtake(['a'])
    const asked = cache.get('a')
    reader.answer('a', version('a', 2n))
    expect(text((await asked).value?.json)).toBe('a@2')
    expect(await cache.get('a')).toMatchObject({ hit: true })
  })

  it('does not hold what a load brings that began before', async () => {
    const { cache, reader } = given()
    const early = cache.get('a')
    cache.overtake(['a'])
    reader.answer('a', version('a', 1n))
    expect(text((await early).value?.json)).toBe('a@1')
    const late = cache.get('a')
    reader.answer('a', version('a', 2n))
    expect(text((await late).value?.json)).toBe('a@2')
  })

  it('takes no version from a writer of its own who may have committed before the other', async () => {
    const { cache, reader, clock } = given()
    cache.overtake(['a'])
    // Our own commit came first, and its reply was read last.
    cache.put([version('a', 1n), version('b', 1n)])
    const asked = cache.get('a')
    reader.answer('a', version('a', 2n))
    expect(text((await asked).value?.json)).toBe('a@2')
    expect(await cache.get('b')).toMatchObject({ hit: true })

    clock.advance(2 * WRITE_TIMEOUT_MS)
    cache.put([version('a', 3n)])
    expect(text((await cache.get('a')).value?.json)).toBe('a@3')
  })

  it('remembers that for as long as a commit may take to be heard of, however late it began', () => {
    const { cache, clock } = given()
    cache.overtake(['a'])
    clock.advance(WRITE_TIMEOUT_MS - 1)
    cache.overtake(['b'])
    clock.advance(2)
    cache.put([version('b', 1n)])
    expect(cache.stats().entries).toBe(0)
  })

  it('drops all, and takes nothing for a while, when it cannot be told which', async () => {
    const { cache, clock } = given()
    cache.put([version('a', 1n), version('b', 1n)])
    cache.overtake('all')
    cache.put([version('c', 1n)])
    expect(cache.stats().entries).toBe(0)
    clock.advance(WRITE_TIMEOUT_MS)
    cache.put([version('c', 2n)])
    expect(cache.stats().entries).toBe(1)
  })

  it('also drops all when there are more than it can remember', () => {
    const { cache } = given()
    cache.put([version('kept', 1n)])
    cache.overtake(Array.from({ length: 50_001 }, (_, number) => `other-${number}`))
    cache.put([version('other-1', 1n), version('kept', 2n)])
    expect(cache.stats().entries).toBe(0)
  })
})

describe('what nobody vouches for', () => {
  it('is served until the moment that was named, and then confirmed with the store each time', async () => {
    const { cache, reader, clock } = given()
    cache.put([version('a', 1n)])
    cache.trustUntil(900)
    clock.advance(899)
    expect(await cache.get('a')).toMatchObject({ hit: true })

    clock.advance(1)
    const two = [cache.get('a'), cache.get('a')]
    reader.answer('a', version('a', 2n))
    for (const answer of await Promise.all(two)) {
      expect(answer.hit).toBe(false)
      expect(text(answer.value?.json)).toBe('a@2')
    }
    expect(reader.asked).toEqual(['a'])
    expect(cache.stats().requests).toMatchObject({ hit: 1, revalidated: 1, collapsed: 1 })

    cache.trustUntil(2_000)
    expect(text((await cache.get('a')).value?.json)).toBe('a@2')
    expect(reader.asked).toEqual(['a'])
  })

  it('counts as read only while something is looked up that depends on it', async () => {
    const { cache, clock, reader } = given()
    cache.put([version('a', 1n)])
    expect(await cache.get('a')).toMatchObject({ hit: true })
    expect(cache.readWithin(1_000)).toBe(false)
    cache.trustUntil(clock.monotonic() + 100)
    expect(cache.readWithin(1_000)).toBe(false)
    await cache.get('a')
    expect(cache.readWithin(1_000)).toBe(true)
    clock.advance(1_000)
    expect(cache.readWithin(1_000)).toBe(false)
    let doubts = 0
    cache.onDoubt(() => (doubts += 1))
    const asked = cache.get('a')
    reader.answer('a', version('a', 1n))
    await asked
    expect([cache.readWithin(1_000), doubts]).toEqual([true, 1])
    cache.trustUntil(clock.monotonic() + 100)
    await cache.get('a')
    expect(doubts).toBe(1)
  })

  it('is gone when the store has it no longer', async () => {
    const { cache, reader, clock } = given()
    cache.put([version('a', 1n)])
    cache.trustUntil(0)
    const asked = cache.get('a')
    reader.answer('a', undefined)
    expect((await asked).value).toBeUndefined()
    clock.advance(10_000)
    cache.trustUntil(Number.POSITIVE_INFINITY)
    const again = cache.get('a')
    reader.answer('a', undefined)
    expect((await again).value).toBeUndefined()
  })

  it('is the answer all the same while the store is away, which is not asked for each', async () => {
    const { cache, reader } = given()
    cache.put([version('a', 1n)])
    cache.trustUntil(0)
    const asked = cache.get('a')
    reader.fail('a', new StoreUnavailableError('away'))
    expect(await asked).toMatchObject({ hit: true })
    expect(text((await cache.get('a')).value?.json)).toBe('a@1')
    expect(reader.asked).toEqual(['a'])
  })

  it('is the answer as well when the store says nothing for a second', async () => {
    const { cache, reader, clock } = given()
    cache.put([version('a', 1n)])
    cache.trustUntil(0)
    const asked = cache.get('a')
    clock.advance(1_000)
    expect(await asked).toMatchObject({ hit: true })
    reader.fail('a', new StoreUnavailableError('away'))
  })

  it('does not hide an error that no waiting cures', async () => {
    const { cache, reader } = given()
    cache.put([version('a', 1n)])
    cache.trustUntil(0)
    const asked = cache.get('a')
    reader.fail('a', new TypeError('a bug'))
    await expect(asked).rejects.toThrow('a bug')
  })
})

it('finds an order that is new to another replica within a second', async () => {
  const { cache, reader, clock } = given()
  const early = cache.get('a')
  clock.advance(500)
  reader.answer('a', undefined)
  expect((await early).value).toBeUndefined()
  // It is written now. Nobody tells us; the absence counts from the question on.
  clock.advance(251)
  const late = cache.get('a')
  reader.answer('a', version('a', 1n))
  expect(text((await late).value?.json)).toBe('a@1')
})
