import { expect, it, vi } from 'vitest'
import { StoreUnavailableError } from '#src/engine/errors.ts'
import { livenessOf, readinessOf } from '#src/engine/health.ts'
import type { Head, HeadReader } from '#src/engine/ports.ts'
import { aPipeline, fastClock, GROUP, type Harness, P0, until } from '../../../support/pipeline-harness.ts'

const clock = fastClock(100)
const TIMESTAMP_MS = 1_700_000_000_000

const heads = (head: Head): HeadReader => ({
  headAt: async () => head,
  [Symbol.asyncDispose]: async () => {},
})

function reasons({ pipeline }: Harness): (string | undefined)[] {
  const checks = livenessOf(() => pipeline.status(), { stuckAfterMs: 60_000, now: Date.now })
  return checks.flatMap(({ check }) => (check().ok ? [] : [check().reason]))
}

/** With a record in Kafka that a fetch does not bring. */
async function aStreamThatIsNotFed(reader: HeadReader): Promise<Harness> {
  const harness = aPipeline({ clock, heads: reader })
  const { source, pipeline, of } = harness
  vi.spyOn(source, 'poll').mockImplementation(async () => {
    await new Promise(resolve => setTimeout(resolve, 1))
    return []
  })
  source.append(0, 'a:1')
  source.give(0)
  void pipeline.run()
  await until(() => of('assigned').length === 1, 'the assignment')
  return harness
}

it('asks for a restart when a record that Kafka holds is never fetched, and knows its age', async () => {
  const harness = await aStreamThatIsNotFed(heads({ timestampMs: TIMESTAMP_MS }))
  await until(() => reasons(harness).length > 0, 'the failing probe')
  expect(reasons(harness)).toEqual([
    expect.stringMatching(/^orders-0 has stood still for \d+ s with 1 records to fetch/),
  ])
  expect(harness.pipeline.status().partitions).toMatchObject([
    { lagRecords: 1, oldestUnsettledTimestampMs: TIMESTAMP_MS, bufferedRecords: 0 },
  ])
  await harness.pipeline.stop()
})

it('goes on to where the last offsets hold no record, as the marker of a transaction, and knows of no lag', async () => {
  const harness = await aStreamThatIsNotFed(heads({ emptyTo: 1n }))
  await until(() => harness.store.progressOf(P0, GROUP) === 1n, 'the progress')
  expect(harness.store.ledger).toMatchObject([{ partition: 0, from: 0n, to: 1n, records: 0, gaps: 1n }])
  const sinceMs = clock.monotonic()
  await until(() => clock.monotonic() - sinceMs > 120_000, 'twice the limit')
  expect(harness.pipeline.status().partitions).toMatchObject([{ lagRecords: 0, oldestUnsettledTimestampMs: undefined }])
  expect(reasons(harness)).toEqual([])
  await harness.pipeline.stop()
})

it('is told of an outage of the store while nothing comes, waits for it, and notices its end', async () => {
  const { store, pipeline, of } = aPipeline()
  void pipeline.run()
  const probe = vi.spyOn(store, 'probe').mockRejectedValue(new StoreUnavailableError('no connection'))
  const breakers = () =>
    readinessOf(() => pipeline.status())
      .find(({ name }) => name === 'breakers')
      ?.check()
  expect(breakers()).toEqual({ ok: true })
  pipeline.storeAway(new StoreUnavailableError('no connection'))
  expect(breakers()).toMatchObject({ ok: false, reason: 'breaker-open: postgres is away: no connection' })
  await until(() => probe.mock.calls.length > 3, 'its being asked for')
  expect(breakers()).toMatchObject({ ok: false, since: expect.any(Number) })
  probe.mockRestore()
  await until(() => of('breaker_closed').length === 1, 'the end of the outage')
  expect(breakers()).toEqual({ ok: true })
  await pipeline.stop()
})

it('notices where nothing comes that the store is behind what was settled, as an older copy is, and reads again', async () => {
  const { source, store, pipeline, of } = aPipeline({ clock })
  source.append(0, 'a:1', 'b:1', 'c:1')
  source.append(1, 'd:1')
  source.give(0, 1)
  void pipeline.run()
  await until(() => source.commits.get(0) === 3n && source.commits.get(1) === 1n, 'the commits')

  store.moveProgress(P0, GROUP, 1n)
  await until(() => store.progressOf(P0, GROUP) === 3n, 'the rest, once more')
  expect(of('progress_set_back')).toMatchObject([{ partition: P0, from: 3n }])
  const ranges = store.works.map(({ partition, from, to }) => [partition, from, to])
  expect(ranges).toContainEqual([0, 1n, 3n])
  expect(ranges.filter(([partition]) => partition === 1)).toHaveLength(1)

  // One that is further on is another consumer's, and the group tells of that
  store.moveProgress(P0, GROUP, 7n)
  const sinceMs = clock.monotonic()
  await until(() => clock.monotonic() - sinceMs > 20_000, 'some looks')
  expect(of('progress_set_back')).toHaveLength(1)
  await pipeline.stop()
})
