import { expect, it } from 'vitest'
import { createCheckLetters, createFilterCheck } from '#src/inbox/check.ts'
import type { DeadLetterPlace, DeadLetterRow, DlqPlace, LetterToCheck } from '#src/inbox/ports.ts'
import { createOrderJudge } from '../../support/order.ts'
import { modelOrder } from '../../support/orders.ts'
import { aRecord } from '../../support/records.ts'

const order = createOrderJudge({ maxBytes: 1024 * 1024 })

const TEXTS: Readonly<Record<string, string>> = {
  good: JSON.stringify(modelOrder),
  'no-json': '{',
  'no-amount': JSON.stringify({ ...modelOrder, payment: { ...modelOrder.payment, amount: undefined } }),
  bug: 'bug',
  deadly: 'deadly',
}

/** The topic holds what is named above. */
const records = {
  async *read(places: readonly DlqPlace[]) {
    for (const { id } of places) {
      const text = TEXTS[id]
      if (text !== undefined) yield { id, record: aRecord({ text }) }
    }
  },
}

let deadlyWasJudged = false
const check = createCheckLetters({
  records,
  judge(record) {
    deadlyWasJudged ||= record.value?.toString() === 'deadly'
    if (record.value?.toString() === 'bug') throw new TypeError('ada@example.org')
    return order(record)
  },
})

const place = (id: string, index = 0): LetterToCheck => {
  return { id, partition: 0, offset: BigInt(index), reason: id === 'deadly' ? 'crash_loop' : 'schema_violation' }
}

it('judges the bytes by today’s rules, and says of each letter whether it passes and why not', async () => {
  const results = await Array.fromAsync(check(['gone', 'no-json', 'good', 'no-amount', 'bug'].map(place)))
  expect(results).toEqual([
    { id: 'no-json', passes: false, violations: [expect.objectContaining({ keyword: 'not_json', pointer: '' })] },
    { id: 'good', passes: true, violations: [] },
    {
      id: 'no-amount',
      passes: false,
      violations: [expect.objectContaining({ keyword: 'required', pointer: expect.stringMatching('/payment') })],
    },
    { id: 'bug', passes: false, violations: [expect.objectContaining({ keyword: 'TypeError' })] },
    { id: 'gone', passes: undefined, violations: [] },
  ])
  expect(JSON.stringify(results)).not.toContain('ada@')
})

it('does not look at one that ended the process that did, and says so', async () => {
  const results = await Array.fromAsync(check(['good', 'deadly'].map(place)))
  expect(results).toEqual([
    { id: 'deadly', passes: false, violations: [expect.objectContaining({ keyword: 'crash_loop', pointer: '' })] },
    { id: 'good', passes: true, violations: [] },
  ])
  expect(deadlyWasJudged).toBe(false)
})

/** An index of these letters, latest first. */
function lettersOf(ids: readonly string[]) {
  const asked: number[] = []
  return {
    asked,
    async page({ limit, after }: { limit: number; after: DeadLetterPlace | undefined }) {
      asked.push(limit)
      const from = after === undefined ? 0 : Number(after.keys[0])
      const rows = ids.slice(from, from + limit).map((id, i) => ({
        id,
        dlq_partition: id === 'unplaced' ? null : 0,
        dlq_offset: id === 'unplaced' ? null : String(from + i),
      }))
      const end = from + rows.length
      const next = end < ids.length ? { sort: '-failed_at' as const, keys: [String(end)] } : undefined
      return { rows: rows as unknown as DeadLetterRow[], places: [], next }
    },
  }
}

it('goes through all that a filter takes, in the order of the index, up to the limit', async () => {
  const ids = ['good', 'unplaced', ...Array.from({ length: 4_500 }, (_, i) => `gone-${i}`), 'no-json']
  const letters = lettersOf(ids)
  const checkAll = createFilterCheck({ letters, check })
  const pages = await Array.fromAsync(checkAll({ filter: { terms: [] }, limit: 10_000, after: undefined }))
  const results = pages.flatMap(page => page.results)
  expect(pages.map(({ next }) => next?.keys[0])).toEqual(['2000', '4000', undefined])
  expect(results.map(({ id }) => id)).toEqual(ids)
  expect([results[0]?.passes, results[1]?.passes, results.at(-1)?.passes]).toEqual([true, undefined, false])

  const some = lettersOf(ids)
  const few = await Array.fromAsync(
    createFilterCheck({ letters: some, check })({ filter: { terms: [] }, limit: 2_001, after: undefined }),
  )
  expect(few.map(({ results }) => results.length)).toEqual([2_000, 1])
  expect(some.asked).toEqual([2_000, 1])
  expect(few.at(-1)?.next).toMatchObject({ keys: ['2001'] })
})
