import { expect, it, onTestFinished } from 'vitest'
import { RecordRefusedError } from '#src/engine/errors.ts'
import type { Header } from '#src/engine/record.ts'
import { aPipeline, GROUP, type Harness, P0, until } from '../../../support/pipeline-harness.ts'
import { aHeader } from '../../../support/records.ts'

/** The headers that a redrive adds, for the dead letter that stood at `offset` of partition 0. */
function redriveOf(offset: number, redriveId = 'r1', count = 1): Header[] {
  return [
    aHeader('holdfast.id', `orders-0-${offset}`),
    aHeader('holdfast.timestamp', String(1_700_000_000_000 + offset)),
    aHeader('holdfast.replay-id', redriveId),
    aHeader('holdfast.replay-count', String(count)),
  ]
}

async function settled(harness: Harness, next: bigint): Promise<void> {
  harness.source.give(0)
  harness.pipeline.run().catch(() => {})
  onTestFinished(() => harness.pipeline.stop())
  await until(() => harness.store.progressOf(P0, GROUP) === next, 'progress')
}

const published = () => ({ state: 'published', outcome: null })

const states = ({ store }: Harness) => [...store.inbox.letters].map(([id, { state }]) => [id, state])

it('redriven records close the loop of their dead letters, each in its own way', async () => {
  const refuse = ({ value }: { value: string }) =>
    value === 'c:9' ? new RecordRefusedError('refused', { sqlState: '22003' }) : undefined
  const harness = aPipeline({ refuse, batch: { maxRecords: 4, maxBytes: 1_000_000, lingerMs: 0 } })
  harness.source.append(0, 'bad', 'bad', 'bad', 'bad')
  harness.source.append(
    0,
    { text: 'a:1', headers: redriveOf(0) },
    { text: 'a:2', headers: redriveOf(1) },
    { text: 'bad', headers: redriveOf(2) },
    { text: 'c:9', headers: redriveOf(3) },
  )
  for (const offset of [0, 1, 2, 3]) harness.store.inbox.items.set(`r1 orders-0-${offset}`, published())
  await settled(harness, 8n)
  expect(states(harness)).toEqual([
    ['orders-0-0', 'resolved'],
    ['orders-0-1', 'resolved'],
    ['orders-0-2', 'open'],
    ['orders-0-3', 'open'],
  ])
  expect(harness.store.inbox.events.map(({ id, what }) => [id, what]).sort()).toEqual([
    ['orders-0-0', 'resolved'],
    ['orders-0-1', 'resolved'],
    ['orders-0-2', 'failed_again'],
    ['orders-0-3', 'failed_again'],
  ])
  const closings = harness.of('batch_settled').map(fact => fact.closings)
  expect(closings).toEqual([undefined, { resolved: 2, failed_again: 2, parked: 0 }])
})

it('dead letters go into the index with their position in the dead-letter topic, also those that had to be sent again', async () => {
  const harness = aPipeline()
  harness.source.append(0, 'bad', 'a:1', 'bad')
  harness.dlqAway = true
  harness.source.give(0)
  harness.pipeline.run().catch(() => {})
  onTestFinished(() => harness.pipeline.stop())
  await until(() => harness.waits.length > 1, 'a retry')
  harness.dlqAway = false
  await until(() => harness.store.progressOf(P0, GROUP) === 3n, 'progress')
  const [work] = harness.store.works
  expect(work?.deadLetters.map(({ record, dlq }) => [record.offset, dlq?.offset])).toEqual([
    [0n, 0n],
    [2n, 1n],
  ])
})

it('a record whose redrive nobody knows is new: it closes nothing, fails under its own name, and is counted', async () => {
  const refuse = ({ value }: { value: string }) =>
    value === 'c:9' ? new RecordRefusedError('refused', { sqlState: '22003' }) : undefined
  const harness = aPipeline({ refuse })
  harness.source.append(0, 'bad')
  harness.source.append(
    0,
    { text: 'a:1', headers: redriveOf(999) },
    'a:2',
    { text: 'bad', headers: redriveOf(0) },
    { text: 'c:9', headers: redriveOf(0) },
  )
  await settled(harness, 5n)
  expect(states(harness)).toEqual(['orders-0-0', 'orders-0-3', 'orders-0-4'].map(id => [id, 'open']))
  expect(harness.store.inbox.events).toEqual([])
  expect(harness.store.rows.get('a')?.origin.offset).toBe(2n)
  expect(harness.of('unusual_record').map(({ offset, what }) => [offset, what])).toEqual(
    [1n, 3n, 4n].map(offset => [offset, 'foreign_provenance']),
  )
})
