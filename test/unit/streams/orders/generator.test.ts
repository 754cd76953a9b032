import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { GeneratorOptions } from '#src/engine/generator.ts'
import { createRandom } from '#src/engine/values/random.ts'
import { createGenerator, type GeneratedOrder } from '#src/streams/orders/generator.ts'
import { FAULTS } from '#src/streams/orders/generator-faults.ts'
import { rounds } from '../../../support/effort.ts'
import { createOrderJudge, type Order } from '../../../support/order.ts'

const judge = createOrderJudge({ maxBytes: 1024 * 1024 })
const usual: GeneratorOptions = { seed: 42, invalidRatio: 0.1, updatesRatio: 0.3 }

function generate(count: number, options: GeneratorOptions): GeneratedOrder[] {
  const generator = createGenerator(options)
  return Array.from({ length: count }, () => generator.next())
}

const orderOf = ({ value }: GeneratedOrder): Order => JSON.parse(String(value))

describe('the generator', () => {
  it('gives the same bytes for the same seed, today and on any machine', () => {
    expect(generate(500, usual)).toEqual(generate(500, usual))
    // Pinned: a change of the generator changes what published figures were measured with.
    const hash = createHash('sha256')
    for (const { key, value } of generate(500, usual)) hash.update(key).update(value ?? 'null')
    expect(hash.digest('hex').slice(0, 16)).toBe('d0e15fb383718b7c')
  })

  it('gives other orders for another seed, also beyond 32 bits', () => {
    const uids = [1, 2, 2 ** 32 + 1, 2 ** 33 + 1].flatMap(seed =>
      generate(50, { seed, invalidRatio: 0, updatesRatio: 0 }).map(({ uid }) => uid),
    )
    expect(new Set(uids).size).toBe(200)
  })

  it('never gives two new orders the same uid', () => {
    const count = rounds(10_000, 50_000)
    const uids = generate(count, { seed: 7, invalidRatio: 0, updatesRatio: 0 }).map(({ uid }) => uid)
    expect(new Set(uids).size).toBe(count)
  })

  it('makes valid orders that add up, keyed by their uid', () => {
    for (const record of generate(3_000, { ...usual, invalidRatio: 0 })) {
      const verdict = judge(record)
      if (!verdict.ok) throw new Error(verdict.rejection.message)
      expect(verdict.key).toBe(record.uid)
      expect(verdict.unusual).toEqual([])
    }
  })

  it('makes orders of 1 to 5 items, 3 in the mean, about 1.3 KB', () => {
    const records = generate(3_000, { seed: 3, invalidRatio: 0, updatesRatio: 0 })
    const counts = records.map(record => orderOf(record).items.length)
    const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
    expect(new Set(counts)).toEqual(new Set([1, 2, 3, 4, 5]))
    expect(mean(counts)).toBeCloseTo(3, 0)
    expect(mean(records.map(({ value }) => value?.length ?? 0))).toBeGreaterThan(1_200)
    expect(mean(records.map(({ value }) => value?.length ?? 0))).toBeLessThan(1_450)
  })

  it('updates earlier orders: the same uid and person, other contents, items that shrink and grow', () => {
    const last = new Map<string, Order>()
    const changes = new Set<number>()
    for (const record of generate(2_000, { seed: 5, invalidRatio: 0.05, updatesRatio: 0.5 })) {
      if (record.uid === null) continue
      const order = orderOf(record)
      const before = last.get(record.uid)
      expect(record.kind).toBe(before === undefined ? 'new' : 'update')
      if (before !== undefined) {
        expect(order.delivery).toEqual(before.delivery)
        expect(order.date_created).toBe(before.date_created)
        expect(order.items).not.toEqual(before.items)
        changes.add(Math.sign(order.items.length - before.items.length))
      }
      last.set(record.uid, order)
    }
    expect(changes).toEqual(new Set([-1, 0, 1]))
  })

  it('keeps to its ratios', () => {
    const records = generate(10_000, { seed: 9, invalidRatio: 0.02, updatesRatio: 0.25 })
    const share = (kind: string) => records.filter(record => record.kind === kind).length / records.length
    expect(share('invalid')).toBeCloseTo(0.02, 2)
    expect(share('update')).toBeCloseTo(0.245, 1)
    expect(generate(1_000, { seed: 9, invalidRatio: 0, updatesRatio: 0 }).every(({ kind }) => kind === 'new')).toBe(
      true,
    )
    expect(generate(1_000, { seed: 9, invalidRatio: 1, updatesRatio: 0 }).every(({ uid }) => uid === null)).toBe(true)
  })

  it('makes invalid records that are judged as it says, of every reason and many keywords', () => {
    const errors = new Set<string>()
    const good = new Set(generate(5_000, { ...usual, invalidRatio: 0.5 }).map(({ uid }) => uid))
    for (const record of generate(5_000, { ...usual, invalidRatio: 0.5 })) {
      if (record.kind !== 'invalid') continue
      const verdict = judge(record)
      expect(verdict).toMatchObject({ ok: false, rejection: { reason: record.expect } })
      if (!verdict.ok) errors.add(verdict.rejection.error)
      expect(good).not.toContain(record.key.toString())
    }
    expect([...errors].sort()).toEqual([
      'format',
      'maxLength',
      'max_depth',
      'maximum',
      'minItems',
      'minimum',
      'not_json',
      'not_utf8',
      'pattern',
      'required',
      'tombstone',
      'type',
      'zero_bytes',
    ])
  })

  it.each(FAULTS)('judges $name as $expect, whatever order it befell', ({ spoil, expect: reason }) => {
    const orders = generate(100, { seed: 11, invalidRatio: 0, updatesRatio: 0 }).map(orderOf)
    for (const [index, order] of orders.entries()) {
      const verdict = judge({ value: spoil(order, createRandom([1, 2, index])), key: null })
      expect(verdict).toMatchObject({ ok: false, rejection: { reason } })
    }
  })
})

describe('random numbers', () => {
  it('are spread evenly enough over a die', () => {
    const random = createRandom([1, 2, 3])
    const rolled = Array.from({ length: 60_000 }, () => random.between(1, 6))
    for (let face = 1; face <= 6; face++) {
      expect(rolled.filter(value => value === face).length / 10_000).toBeCloseTo(1, 1)
    }
  })

  it('have nothing to pick from nothing', () => {
    expect(() => createRandom([1, 2, 3]).pick([])).toThrow(RangeError)
  })
})
