import { expect, it } from 'vitest'
import { placeRuns } from '#src/inbox/runs.ts'

const place = (partition: number, offset: number) => ({
  id: `${partition}-${offset}`,
  partition,
  offset: BigInt(offset),
})

it('reads over small gaps and jumps over large ones, partition by partition, in order', () => {
  const runs = placeRuns([place(1, 7), place(0, 5_000), place(0, 12), place(0, 10), place(0, 113)], 100)
  expect(runs).toEqual([
    {
      partition: 0,
      from: 10n,
      to: 114n,
      wanted: new Map([
        [10n, '0-10'],
        [12n, '0-12'],
        [113n, '0-113'],
      ]),
    },
    { partition: 0, from: 5_000n, to: 5_001n, wanted: new Map([[5_000n, '0-5000']]) },
    { partition: 1, from: 7n, to: 8n, wanted: new Map([[7n, '1-7']]) },
  ])
  expect(placeRuns([place(0, 0), place(0, 101)], 100)).toHaveLength(1)
  expect(placeRuns([place(0, 0), place(0, 102)], 100)).toHaveLength(2)
  expect(placeRuns([], 100)).toEqual([])
})
