import { describe, expect, it, onTestFinished } from 'vitest'
import { StoreUnavailableError } from '#src/engine/errors.ts'
import { aPipeline, GROUP, type Harness, P0, until } from '../../../support/pipeline-harness.ts'

function start(harness: Harness): void {
  harness.pipeline.run().catch(() => {})
  onTestFinished(() => harness.pipeline.stop())
}

const progress = (harness: Harness, partition = 0) => harness.store.progressOf({ ...P0, partition }, GROUP)
const range = <R>(count: number, of: (i: number) => R) => Array.from({ length: count }, (_, i) => of(i))
const statusOf = (harness: Harness, partition = 0) =>
  harness.pipeline.status().partitions.find(one => one.partition === partition)

/** The turns of the loop between two questions, and some more. */
async function while2Polls(harness: Harness): Promise<void> {
  let asked = 0
  const read = harness.requests.read.bind(harness.requests)
  harness.requests.read = async () => {
    asked += 1
    return await read()
  }
  await until(() => asked >= 2, 'two questions')
  harness.requests.read = read
}

describe('a partition that an operator pauses', () => {
  it('settles what is in flight, takes nothing more, and goes on when that is lifted; others never wait', async () => {
    // Given a batch in the store that does not end yet
    const harness = aPipeline()
    const settle = harness.store.settle.bind(harness.store)
    const written = Promise.withResolvers<void>()
    harness.store.settle = async work => {
      if (work.partition === 0) await written.promise
      return await settle(work)
    }
    harness.source.append(0, ...range(10, i => `o${i}:1`))
    harness.source.give(0, 1)
    start(harness)
    await until(() => statusOf(harness)?.inFlightRecords === 10, 'the batch')

    // When it is paused
    harness.requests.pause(0)
    await until(() => harness.source.paused.has(0), 'the pause')
    harness.source.append(0, ...range(10, i => `p${i}:1`))
    harness.source.append(1, 'x:1')

    // Then that batch is settled and committed, and nothing more; the other partition flows
    written.resolve()
    await until(() => harness.source.commits.get(0) === 10n, 'the commit')
    await until(() => harness.source.commits.get(1) === 1n, 'the other partition')
    await while2Polls(harness)
    expect(progress(harness)).toBe(10n)
    expect(statusOf(harness)).toMatchObject({
      paused: ['operator'],
      manualPause: { partition: 0, by: 'ada', because: 'a drill' },
      inFlightRecords: 0,
    })
    expect(statusOf(harness, 1)?.paused).toEqual([])
    // The log has no name and no reason: those are free text.
    expect(harness.of('paused')).toMatchObject([{ reason: 'operator' }])
    expect(harness.of('paused')[0]).not.toHaveProperty('because')

    harness.requests.resume(0)
    await until(() => progress(harness) === 20n, 'the rest')
  })

  it('is paused from its assignment on, whoever gets it, and so is one that comes later to a paused stream', async () => {
    const harness = aPipeline()
    harness.requests.pause(undefined)
    harness.source.append(0, 'a:1')
    harness.source.append(7, 'b:1')
    harness.source.give(0)
    start(harness)
    await until(() => harness.source.paused.has(0), 'the pause')
    harness.source.give(7)
    await until(() => harness.source.paused.has(7), 'the pause of the new one')
    await while2Polls(harness)
    expect(harness.store.works).toEqual([])
    harness.requests.resume(undefined)
    await until(() => progress(harness) === 1n && progress(harness, 7) === 1n, 'both')
  })

  it('is not assigned before it is known whether it is paused', async () => {
    const harness = aPipeline()
    const read = harness.requests.read.bind(harness.requests)
    let failures = 3
    harness.requests.pause(0)
    harness.requests.read = async () => {
      if (failures-- > 0) throw new StoreUnavailableError('away')
      return await read()
    }
    harness.source.append(0, 'a:1')
    harness.source.give(0)
    start(harness)
    await until(() => harness.source.paused.has(0), 'the pause')
    await while2Polls(harness)
    expect(harness.store.works).toEqual([])
    expect(harness.of('retry').length).toBeGreaterThanOrEqual(3)
  })

  it('stays so when the storm guard’s pause is lifted, and the other way round', async () => {
    const harness = aPipeline({ stormLimit: 5 })
    harness.source.append(0, ...range(8, () => 'bad'))
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 5n && harness.source.paused.has(0), 'the storm guard')
    harness.requests.pause(0)
    await until(() => statusOf(harness)?.paused.length === 2, 'both')
    expect(statusOf(harness)).toMatchObject({
      paused: ['storm_guard', 'operator'],
      pausedBecause: expect.stringContaining('dead letters'),
    })

    harness.store.liftPause(P0, GROUP)
    await until(() => statusOf(harness)?.paused.length === 1, 'the one being lifted')
    await while2Polls(harness)
    expect([statusOf(harness)?.paused, progress(harness)]).toEqual([['operator'], 5n])
    harness.requests.resume(0)
    await until(() => progress(harness) === 8n, 'the rest')
  })

  it('is no stall, however much of it waits in hand', async () => {
    const harness = aPipeline({ batch: { maxRecords: 1, maxBytes: 1_000_000, lingerMs: 0 }, lanes: 1 })
    const settle = harness.store.settle.bind(harness.store)
    const written = Promise.withResolvers<void>()
    harness.store.settle = async work => {
      await written.promise
      return await settle(work)
    }
    harness.source.append(0, ...range(6, i => `o${i}:1`))
    harness.source.give(0)
    start(harness)
    await until(() => (statusOf(harness)?.bufferedRecords ?? 0) > 0, 'records that wait')
    harness.requests.pause(0)
    await until(() => statusOf(harness)?.paused.includes('operator') === true, 'the pause')
    written.resolve()
    await until(() => statusOf(harness)?.inFlightRecords === 0, 'what was in flight')
    expect(statusOf(harness)?.bufferedRecords).toBeGreaterThan(0)
    await while2Polls(harness)
    expect(statusOf(harness)?.stalledMs ?? 0).toBe(0)
  })
})

describe('a partition that an operator moves while it is consumed', () => {
  it('is let go of, moved, and taken again at the new place, back and forward; what was in flight is settled first', async () => {
    const harness = aPipeline()
    harness.source.append(0, ...range(20, i => `o${i}:1`))
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 20n, 'all of it')

    harness.requests.ask(0, 5n)
    await until(() => harness.of('moved').length === 1, 'the move')
    await until(() => progress(harness) === 20n && harness.source.commits.get(0) === 20n, 'reading again')
    expect(harness.of('moved')).toMatchObject([{ from: 20n, to: 5n }])
    const again = harness.store.ledger.filter(({ skipped }) => skipped !== undefined)
    expect(again).toMatchObject([{ from: 20n, to: 5n, skipped: -15n }])
    expect(harness.store.ledger.slice(-1)[0]).toMatchObject({ to: 20n, duplicate: expect.any(Number) })
    expect(harness.of('ownership_lost')).toEqual([])

    harness.requests.pause(0)
    await until(() => harness.source.paused.has(0), 'the pause')
    harness.source.append(0, ...range(10, i => `p${i}:1`))
    harness.requests.ask(0, 28n)
    await until(() => harness.of('moved').length === 2, 'the move of a paused one')
    await while2Polls(harness)
    expect(progress(harness), 'it stays paused').toBe(28n)
    harness.requests.resume(0)
    await until(() => progress(harness) === 30n, 'the last two')
    expect([harness.store.rows.has('p7'), harness.store.rows.has('p8')]).toEqual([false, true])
  })

  it('is moved once the store answers, and flows on where the request has gone meanwhile', async () => {
    const harness = aPipeline()
    harness.source.append(0, ...range(3, i => `o${i}:1`))
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 3n, 'all of it')
    const move = harness.requests.move.bind(harness.requests)
    const failures = [new StoreUnavailableError('away'), new StoreUnavailableError('away')]
    harness.requests.move = async request => {
      const failure = failures.shift()
      if (failure !== undefined) throw failure
      return await move(request)
    }
    harness.requests.ask(0, 1n)
    await until(() => harness.of('moved').length === 1, 'the move')
    await until(() => progress(harness) === 3n, 'reading again')

    harness.requests.move = async () => undefined
    harness.requests.ask(0, 0n)
    await until(() => harness.of('assigned').length >= 3, 'the reposition')
    harness.requests.moves.splice(0)
    harness.source.append(0, 'z:1')
    await until(() => progress(harness) === 4n, 'the next record')
    expect(harness.of('moved')).toHaveLength(1)
  })
})
