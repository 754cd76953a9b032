import { expect, it } from 'vitest'
import { holdfast } from '../support/cli.ts'
import { differences, generated, modelOf } from '../support/model.ts'
import { eventually, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'

streamTools()

const records = generated(20, { seed: 41 })
const refused = records.slice(5, 8)

it('after seek: resolves the letters of records that are written this time, and leaves those that fail again', async () => {
  // Given three orders that a rule of this test refused, and a record that is no order at all
  const stream = await aStream({ partitions: 1 })
  const uids = refused.map(({ uid }) => `'${uid}'`).join()
  await stream.query(`ALTER TABLE orders ADD CONSTRAINT only_in_this_test CHECK (order_uid NOT IN (${uids}))`)
  const first = await startService(stream)
  await stream.produce([...records, { value: 'no order', key: null, partition: 0 }])
  await eventually(async () => (await stream.committed()) === 21, 'all of them being committed')
  expect(await states()).toEqual({ open: 4 })
  expect(await first.stop()).toBe(0)

  // When the rule is gone, and the partition is read again
  await stream.query('ALTER TABLE orders DROP CONSTRAINT only_in_this_test')
  const seek = ['seek', '--partition', '0', '--to', 'earliest', '--because', 'the rule was wrong']
  const moved = () =>
    holdfast(stream, ...seek).then(
      () => true,
      () => false,
    )
  await eventually(moved, 'the group having seen it leave')
  const second = await startService(stream)
  await eventually(async () => (await stream.committed()) === 21, 'all of them being committed again')

  // Then they are stored, their letters are resolved and say how, and the fourth one waits still
  expect(await differences(stream, modelOf(records))).toEqual([])
  expect(await states()).toEqual({ open: 1, resolved: 3 })
  const events = await stream.query('SELECT what, detail FROM holdfast.dead_letter_events ORDER BY dead_letter_id')
  expect(events).toEqual(refused.map(() => ({ what: 'resolved', detail: { outcome: 'written', read_again: true } })))
  expect(await stream.findings()).toEqual([])

  // And an index that is made anew from the topic says the same
  await stream.query('DELETE FROM holdfast.dead_letters')
  await holdfast(stream, 'dlq', 'reindex')
  expect(await states()).toEqual({ open: 1, resolved: 3 })
  expect(await stream.findings()).toEqual([])
  expect(await second.stop()).toBe(0)

  async function states(): Promise<Record<string, number>> {
    const rows = await stream.query<{ state: string; n: number }>(
      'SELECT state, count(*)::int AS n FROM holdfast.dead_letters GROUP BY state',
    )
    return Object.fromEntries(rows.map(({ state, n }) => [state, n]))
  }
})
