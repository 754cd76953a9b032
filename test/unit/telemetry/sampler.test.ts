import { expect, it } from 'vitest'
import { startSampler } from '#src/telemetry/sampler.ts'

/** Each wait is written down and ended by the test; a reading takes what the test says. */
function aSampler(readings: readonly (number | Error)[], tookMs = 10) {
  const waits: number[] = []
  const failures: unknown[] = []
  const left = [...readings]
  let nowMs = 0
  let wake = Promise.withResolvers<void>()
  let asleep = Promise.withResolvers<void>()
  const sampler = startSampler<number>({
    async read() {
      nowMs += tookMs
      const next = left.shift()
      if (next === undefined) throw new Error('the test expects no further reading')
      if (next instanceof Error) throw next
      return next
    },
    clock: {
      monotonic: () => nowMs,
      async sleep(ms, signal) {
        if (signal?.aborted) return
        waits.push(ms)
        asleep.resolve()
        await wake.promise
      },
    },
    intervalMs: 15_000,
    onFailure: error => failures.push(error),
  })
  return {
    sampler,
    waits,
    failures,
    read: () => asleep.promise,
    async readAgain() {
      asleep = Promise.withResolvers<void>()
      wake.resolve()
      wake = Promise.withResolvers<void>()
      await asleep.promise
    },
    wake: () => wake.resolve(),
  }
}

it('tells what was read last, and nothing before the first reading', async () => {
  const { sampler, read, readAgain, waits } = aSampler([1, 2])
  expect(sampler.latest()).toBeUndefined()
  await read()
  expect(sampler.latest()).toBe(1)
  await readAgain()
  expect(sampler.latest()).toBe(2)
  expect(waits).toEqual([15_000, 15_000])
})

it('tells nothing while reading fails, rather than what was true once', async () => {
  const gone = new Error('gone')
  const { sampler, read, readAgain, failures } = aSampler([1, gone, 3])
  await read()
  await readAgain()
  expect(sampler.latest()).toBeUndefined()
  expect(failures).toEqual([gone])
  await readAgain()
  expect(sampler.latest()).toBe(3)
})

it('reads the seldomer the longer it takes', async () => {
  const { read, waits } = aSampler([1], 2_000)
  await read()
  expect(waits).toEqual([100_000])
})

it('reads no more once it is disposed of', async () => {
  const { sampler, read, wake } = aSampler([1])
  await read()
  sampler[Symbol.dispose]()
  wake()
  await new Promise<void>(resolve => setImmediate(resolve))
  expect(sampler.latest()).toBeUndefined()
})
