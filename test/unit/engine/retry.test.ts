import { expect, it } from 'vitest'
import { StoreMisconfiguredError, StoreUnavailableError } from '#src/engine/errors.ts'
import { type FailedAttempt, type RetryOptions, retry } from '#src/engine/retry.ts'

const away = new StoreUnavailableError('no connection')

/** Waits that are noted and not waited for. @param errors what the attempts fail with, in turn */
function work(errors: readonly unknown[], over: Partial<RetryOptions> = {}) {
  const waits: number[] = []
  const failed: FailedAttempt[] = []
  let attempts = 0
  const options: RetryOptions = {
    policy: { initialMs: 100, maxMs: 1_000 },
    clock: { sleep: async ms => void waits.push(ms) },
    random: () => 0.5,
    signal: new AbortController().signal,
    onFailed: attempt => failed.push(attempt),
    ...over,
  }
  const done = retry(async attempt => {
    attempts += 1
    if (attempt <= errors.length) throw errors[attempt - 1]
    return `attempt ${attempt}`
  }, options)
  return { done, waits, failed, attempts: () => attempts }
}

it('repeats what an outage makes fail, with longer waits up to the cap', async () => {
  const { done, waits, failed } = work(Array.from({ length: 6 }, () => away))
  expect(await done).toBe('attempt 7')
  expect(waits).toEqual([50, 100, 200, 400, 500, 500])
  expect(failed.map(({ attempt, delayMs }) => [attempt, delayMs]).slice(0, 2)).toEqual([
    [1, 50],
    [2, 100],
  ])
})

it.each([
  ['a mistake of ours', new StoreMisconfiguredError('no such table')],
  ['what is unforeseen', new TypeError('a bug')],
  ['what is no error at all', 'a text'],
])('throws %s at once, as it is', async (_, error) => {
  const { done, waits, failed } = work([error])
  await expect(done).rejects.toBe(error)
  expect([waits, failed]).toEqual([[], []])
})

it('throws the last error when the attempts are used up, and reports only those that another one follows', async () => {
  const { done, failed, attempts } = work([away, away, away], { maxAttempts: 3 })
  await expect(done).rejects.toBe(away)
  expect([attempts(), failed.length]).toEqual([3, 2])
})

it('ends with the reason of the abort, before the next attempt', async () => {
  const stop = new AbortController()
  const reason = new Error('the partition was taken away')
  const { done, attempts } = work([away, away], { signal: stop.signal, onFailed: () => stop.abort(reason) })
  await expect(done).rejects.toBe(reason)
  expect(attempts()).toBe(1)
})

it('waits for what it is told to, and repeats what its caller says, with a lower cap where the error calls for one', async () => {
  const order: string[] = []
  const { done, waits } = work([new TypeError('another'), away], {
    passes: () => true,
    maxMs: error => (error === away ? 60 : 1_000),
    until: async () => void order.push('until'),
  })
  expect(await done).toBe('attempt 3')
  expect(waits).toEqual([50, 30])
  expect(order).toEqual(['until', 'until'])
})
