import { describe, expect, it } from 'vitest'
import { PartitionUnavailableError, StoreUnavailableError } from '#src/engine/errors.ts'
import type { Head } from '#src/engine/ports.ts'
import { createStreamLag } from '#src/inbox/stream-lag.ts'
import type { PartitionProgress } from '#src/inbox/stream-ports.ts'

const NOW_MS = Date.UTC(2026, 4, 1)
const at = (partition: number, over: Partial<PartitionProgress> = {}): PartitionProgress => ({
  ...{ partition, next: 5n, pausedFor: undefined, pausedBecause: undefined, lastProgressMs: NOW_MS },
  ...over,
})

/** @param heads by partition: what stands at its progress */
function lagOf(partitions: PartitionProgress[] | Error, heads: Readonly<Record<number, Head | Error | 'silent'>>) {
  let nowMs = 0
  const world = { partitions, asked: 0, pass: (ms: number) => (nowMs += ms) }
  const lag = createStreamLag({
    topic: 'orders',
    async progress() {
      world.asked += 1
      if (world.partitions instanceof Error) throw world.partitions
      return world.partitions
    },
    heads: {
      async headAt({ partition }) {
        const head = heads[partition] ?? { emptyTo: 5n }
        if (head instanceof Error) throw head
        return head === 'silent' ? await new Promise(() => {}) : head
      },
      async [Symbol.asyncDispose]() {},
    },
    clock: {
      now: () => NOW_MS,
      monotonic: () => nowMs,
      async sleep(ms) {
        // An answer that is there comes first.
        await new Promise(resolve => setImmediate(resolve))
        nowMs += ms
      },
    },
  })
  return { lag, world }
}

const aged = (seconds: number): Head => ({ timestampMs: NOW_MS - seconds * 1_000 })

describe('the lag of the live stream', () => {
  it('is the age of the oldest record that is not settled, of all partitions', async () => {
    expect(await lagOf([at(0), at(1), at(2)], { 0: aged(3), 1: aged(40) }).lag.seconds()).toBe(40)
    expect(await lagOf([at(0)], {}).lag.seconds()).toBe(0)
    expect(await lagOf([at(0)], { 0: aged(-9) }).lag.seconds()).toBe(0)
  })

  it('leaves out partitions that wait for an operator or were paused by one, and those of which nothing is known', async () => {
    const manualPause = { partition: 4, by: 'ada', because: 'test', sinceMs: NOW_MS }
    const partitions = [at(0, { pausedFor: 'storm_guard' }), at(1), at(2), at(3), at(4, { manualPause })]
    const heads = {
      0: aged(900),
      4: aged(900),
      1: new PartitionUnavailableError('no leader'),
      2: { timestampMs: -1 },
      3: aged(7),
    }
    expect(await lagOf(partitions, heads).lag.seconds()).toBe(7)
    expect(await lagOf([], {}).lag.seconds()).toBeUndefined()
    expect(await lagOf([at(1)], heads).lag.seconds()).toBeUndefined()
  })

  it('is asked for at intervals, and keeps a caller waiting for a moment only', async () => {
    const { lag, world } = lagOf([at(0)], { 0: aged(5) })
    expect(await lag.seconds()).toBe(5)
    expect(await lag.seconds()).toBe(5)
    expect(world.asked).toBe(1)
    world.pass(2_000)
    world.partitions = new StoreUnavailableError('away')
    expect(await lag.seconds()).toBe(5)
    expect(world.asked).toBe(2)
    world.pass(20_000)
    expect(await lag.seconds()).toBeUndefined()

    const silent = lagOf([at(0)], { 0: 'silent' })
    expect(await silent.lag.seconds()).toBe('asked')
    expect(await silent.lag.seconds()).toBe('asked')
    silent.world.pass(15_000)
    expect(await silent.lag.seconds()).toBeUndefined()
    expect(silent.world.asked).toBe(1)
  })

  it('is not waited for again where it could not be known the last time', async () => {
    const heads: Record<number, Head | Error | 'silent'> = { 0: new PartitionUnavailableError('no leader') }
    const { lag, world } = lagOf([at(0)], heads)
    expect(await lag.seconds()).toBeUndefined()
    world.pass(2_000)
    heads[0] = 'silent'
    expect(await lag.seconds()).toBeUndefined()
    expect(world.asked).toBe(2)
  })
})
