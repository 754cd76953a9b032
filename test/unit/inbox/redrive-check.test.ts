import { expect, it } from 'vitest'
import { allPass, summarize } from '#src/inbox/redrive-check.ts'

function results(passing: number, failing: readonly string[], gone = 0) {
  const one = (passes: boolean | undefined, keyword?: string) => ({
    passes,
    violations: keyword === undefined ? [] : [{ pointer: '/payment/bank', keyword, message: 'a message' }],
  })
  return [
    ...Array.from({ length: passing }, () => one(true)),
    ...failing.map(keyword => one(false, keyword)),
    ...Array.from({ length: gone }, () => one(undefined)),
  ]
}

it('says how many would pass now, and why the others would not', () => {
  const twelve = results(164, new Array(12).fill('required'))
  expect(summarize(twelve, 176)).toEqual({
    ...{ checked: 176, passing: 164, failing: 12, gone: 0, complete: true },
    causes: [{ error: 'required', pointer: '/payment/bank', count: 12 }],
    message: '164 of 176 would pass now; 12 would fail again (required /payment/bank)',
  })
  expect(summarize(twelve, 3_000)).toMatchObject({
    complete: false,
    message: 'of the first 176 checked, 164 would pass now; 12 would fail again (required /payment/bank)',
  })
})

it('counts causes apart, the most frequent first, and names three of them', () => {
  const { causes, message } = summarize(results(0, ['a', 'b', 'b', 'c', 'd', 'b', 'c'], 2), 9)
  expect(causes.map(({ error, count }) => `${error} ${count}`)).toEqual(['b 3', 'c 2', 'a 1', 'd 1'])
  expect(message).toBe(
    '0 of 9 would pass now; 7 would fail again (3 b /payment/bank, 2 c /payment/bank, 1 a /payment/bank, …); ' +
      '2 cannot be checked: their bytes are gone',
  )
})

it('of those that were chosen because they pass, all do', () => {
  expect(allPass(1_200)).toMatchObject({ passing: 1_200, message: '1,200 of 1,200 would pass now' })
})
