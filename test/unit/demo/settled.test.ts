import { describe, expect, it } from 'vitest'
import { StoreUnavailableError } from '#src/engine/errors.ts'
import { createEnds, type Progressed, untilSettled } from '../../../tools/demo/settled.ts'

const counts = { written: 0, superseded: 0, stale: 0, duplicate: 0, dead_lettered: {} }

/** Ten records were produced, offsets 100 to 109. @param looks where the partition stands, look by look; the last stays. `undefined`: Postgres is away */
function settling(looks: readonly (bigint | undefined)[]) {
  const ends = createEnds()
  for (let offset = 100n; offset < 110n; offset++) ends.note('orders', { partition: 0, offset })
  let look = 0
  let nowMs = 0
  const shown: number[] = []
  const settled = untilSettled({
    ...{ ends, produced: 10, readCounts: async () => counts, failed: new AbortController().signal },
    async readProgress(): Promise<Progressed[]> {
      const nextOffset = looks[Math.min(look++, looks.length - 1)]
      if (nextOffset === undefined) throw new StoreUnavailableError('away')
      return [
        { topic: 'orders', partition: 0, nextOffset },
        { topic: 'other', partition: 0, nextOffset: 9_999n },
      ]
    },
    show: done => shown.push(done),
    clock: {
      now: () => nowMs,
      monotonic: () => nowMs,
      async sleep(ms) {
        nowMs += ms
      },
    },
  })
  return { settled, shown, looks: () => look }
}

describe('the demo waits for the records that it has produced', () => {
  it('until each is settled, also while a partition is moved back and settles some again', async () => {
    const { settled, shown } = settling([95n, 108n, 100n, 109n, 110n])
    await settled
    expect(shown).toEqual([0, 8, 0, 9, 10])
  })

  it('and not for those that an operator has skipped, nor for those of another producer', async () => {
    const { settled, looks } = settling([104n, 250n])
    await settled
    expect(looks()).toBe(2)
  })

  it('through an outage of Postgres', async () => {
    const { settled, looks } = settling([104n, undefined, 110n])
    await settled
    expect(looks()).toBe(3)
  })

  it('and ends when nothing moves', async () => {
    await expect(settling([104n]).settled).rejects.toThrow('6 of 10 records are still not settled, and nothing moves')
  })

  it('and for nothing where it has produced nothing', async () => {
    expect(createEnds().left([])).toBe(0)
  })
})
