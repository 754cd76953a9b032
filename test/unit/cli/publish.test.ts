import { describe, expect, it } from 'vitest'
import { publish, type RecordToSend } from '#src/cli/publish.ts'
import { BrokerUnavailableError } from '#src/engine/errors.ts'
import type { Clock } from '#src/engine/ports.ts'

/** Time passes only while somebody sleeps. */
function createClock(): Clock {
  let nowMs = 0
  return {
    now: () => nowMs,
    monotonic: () => nowMs,
    async sleep(ms) {
      nowMs += ms
    },
  }
}

function records(count: number): RecordToSend[] {
  return Array.from({ length: count }, (_, index) => ({
    topic: 'orders',
    key: Buffer.from(String(index)),
    value: Buffer.from('{}'),
    headers: [],
  }))
}

function* endless(): Iterable<RecordToSend> {
  for (;;) yield* records(1)
}

const never = new AbortController().signal

describe('publishing', () => {
  it('sends each record once, in order, and counts what was acknowledged', async () => {
    const sent: string[] = []
    const publisher = { produce: async ({ key }: RecordToSend) => sent.push(String(key)) }
    const result = await publish(records(2_500), { publisher, clock: createClock(), signal: never })
    expect(result).toEqual({ produced: 2_500, failed: 0, seconds: 0 })
    expect(sent).toEqual(Array.from({ length: 2_500 }, (_, index) => String(index)))
  })

  it('keeps to its rate', async () => {
    const clock = createClock()
    const sentAt: number[] = []
    const publisher = { produce: async () => sentAt.push(clock.monotonic()) }
    const result = await publish(records(500), { publisher, clock, ratePerSecond: 100, signal: never })
    expect(result.seconds).toBeCloseTo(5, 1)
    const firstSecond = sentAt.filter(at => at < 1_000).length
    expect(Math.abs(firstSecond - 100)).toBeLessThanOrEqual(1)
  })

  it('stops at the first failure, with the reason and both counts', async () => {
    const away = new BrokerUnavailableError('away')
    let calls = 0
    const publisher = {
      async produce() {
        calls += 1
        if (calls > 1_500) throw away
      },
    }
    const result = await publish(endless(), { publisher, clock: createClock(), signal: never })
    expect(result).toMatchObject({ produced: 1_500, failed: 500, error: away })
    expect(calls).toBe(2_000)
  })

  it('goes on after a failure where that is asked for, and counts what was given up', async () => {
    const away = new BrokerUnavailableError('away')
    let calls = 0
    const publisher = {
      async produce() {
        calls += 1
        if (calls > 1_500 && calls <= 2_100) throw away
      },
    }
    const failures: unknown[] = []
    const onFailure = (error: unknown) => void failures.push(error)
    const result = await publish(records(4_000), { publisher, clock: createClock(), signal: never, onFailure })
    expect(result).toEqual({ produced: 3_400, failed: 600, seconds: 0 })
    expect(failures).toEqual([away, away])
  })

  it('ends on Ctrl-C after what is under way, and counts it', async () => {
    const controller = new AbortController()
    let acknowledged = 0
    const publisher = {
      async produce() {
        controller.abort()
        await Promise.resolve()
        acknowledged += 1
      },
    }
    const result = await publish(endless(), { publisher, clock: createClock(), signal: controller.signal })
    expect(result).toMatchObject({ produced: acknowledged, failed: 0 })
    expect(acknowledged).toBeGreaterThan(0)
  })

  it('tells of its progress', async () => {
    const seen: number[] = []
    await publish(records(2_000), {
      publisher: { produce: async () => {} },
      clock: createClock(),
      signal: never,
      onProgress: produced => seen.push(produced),
    })
    expect(seen).toEqual([1_000, 2_000])
  })
})
