import { describe, expect, it, onTestFinished } from 'vitest'
import {
  BrokerUnavailableError,
  OwnershipLostError,
  RecordRefusedError,
  StoreContendedError,
  StoreMisconfiguredError,
  StoreUnavailableError,
} from '#src/engine/errors.ts'
import {
  aPipeline,
  fastClock,
  GROUP,
  type Harness,
  judge,
  P0,
  until,
  valuesOf,
} from '../../../support/pipeline-harness.ts'

const away = new StoreUnavailableError('connection refused')
const refusal = new RecordRefusedError('value out of range', { sqlState: '22003' })

/** Runs it until the test ends. */
function start(harness: Harness): void {
  harness.pipeline.run().catch(() => {})
  onTestFinished(() => harness.pipeline.stop())
}

/** Makes every `settle` wait, after it took effect, until the gate is opened: a write that is long in flight. */
function holdWrites({ store }: Harness): { open(): void } {
  const gate = Promise.withResolvers<void>()
  const settle = store.settle.bind(store)
  store.settle = async work => {
    const settlement = await settle(work)
    await gate.promise
    return settlement
  }
  return { open: () => gate.resolve() }
}

const progress = (harness: Harness) => harness.store.progressOf(P0, GROUP)

describe('the plain way', () => {
  it('writes what is valid, sets the rest aside, and commits only after that', async () => {
    const harness = aPipeline()
    harness.source.append(0, 'a:1', 'bad', 'b:1', 'a:2')
    harness.source.give(0)
    start(harness)
    await until(() => harness.source.commits.get(0) === 4n, 'the commit of all four')
    expect(valuesOf(harness.store.rows)).toEqual({ a: 'a:2', b: 'b:1' })
    expect(harness.sent.map(({ record }) => record.offset)).toEqual([1n])
    expect([...harness.store.deadLetters.keys()]).toEqual(['orders-0-1'])
    expect(harness.store.ledger).toMatchObject([
      { from: 0n, to: 4n, records: 4, written: 2, superseded: 1, dead_lettered: 1 },
    ])
  })

  it('makes batches no larger than the limit, and one ledger row for each', async () => {
    const harness = aPipeline()
    harness.source.append(0, ...Array.from({ length: 25 }, (_, i) => `o${i}:1`))
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 25n, 'progress')
    expect(harness.store.ledger.map(({ from, to }) => [from, to])).toEqual([
      [0n, 10n],
      [10n, 20n],
      [20n, 25n],
    ])
  })

  it('notes with each batch which record was the last, and the leader epoch of that', async () => {
    const harness = aPipeline()
    const poll = harness.source.poll.bind(harness.source)
    harness.source.poll = async (max, timeoutMs) => {
      return (await poll(max, timeoutMs)).map(record => ({ ...record, leaderEpoch: 3 }))
    }
    harness.source.append(0, 'a:1', 'b:1')
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 2n, 'progress')
    expect(harness.store.works.at(-1)).toMatchObject({ lastRead: { offset: 1n, leaderEpoch: 3 } })
  })

  it('counts offsets that hold no record as gaps', async () => {
    const harness = aPipeline()
    harness.source.append(0, 'a:1', 'b:1', 'c:1', 'd:1')
    const poll = harness.source.poll.bind(harness.source)
    harness.source.poll = async (max, ms) =>
      (await poll(max, ms)).filter(({ offset }) => offset !== 1n && offset !== 2n)
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 4n, 'progress')
    expect(harness.store.ledger).toMatchObject([{ records: 2, gaps: 2n }])
  })

  it('resumes at the progress row, not at what Kafka holds as committed', async () => {
    const harness = aPipeline()
    harness.source.append(0, 'a:1', 'b:1', 'c:1')
    harness.store.moveProgress(P0, GROUP, 2n)
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 3n, 'progress')
    expect(valuesOf(harness.store.rows)).toEqual({ c: 'c:1' })
  })

  it('commits the progress that a crash left uncommitted, though no record comes any more', async () => {
    const harness = aPipeline()
    harness.source.append(0, 'a:1', 'b:1', 'c:1')
    harness.store.moveProgress(P0, GROUP, 3n)
    harness.source.give(0)
    start(harness)
    await until(() => harness.source.commits.get(0) === 3n, 'the commit')
    expect(harness.store.ledger).toEqual([])
  })
})

describe('an outage blames no record', () => {
  it('waits for the store, pauses its partitions, dead-letters nothing, and goes on', async () => {
    const harness = aPipeline()
    harness.source.append(0, 'a:1')
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 1n, 'the first order')

    harness.store.fail(away)
    harness.source.append(0, 'b:1', 'c:1')
    await until(() => harness.source.paused.has(0), 'the pause')
    expect(harness.pipeline.status()).toMatchObject({
      breakers: [
        { dependency: 'postgres', open: true, reason: 'connection refused' },
        { dependency: 'dlq', open: false },
        { dependency: 'kafka', open: false },
      ],
      partitions: [{ paused: ['store_away'], inFlightRecords: 2 }],
    })

    harness.store.fail(undefined)
    await until(() => progress(harness) === 3n, 'the rest')
    await until(() => !harness.source.paused.has(0), 'the resume')
    expect(harness.sent).toEqual([])
    expect(harness.of('breaker_opened')).toHaveLength(1)
    expect(harness.of('breaker_closed')).toHaveLength(1)
  })

  it('is over when the work that found it is given up', async () => {
    const harness = aPipeline({ drainTimeoutMs: 1 })
    const full = new StoreUnavailableError('Postgres is away: no space left', { sqlState: '53100' })
    harness.store.failNext('settle', ...Array.from({ length: 50 }, () => full))
    harness.source.append(0, 'a:1')
    harness.source.give(0)
    start(harness)
    await until(() => harness.of('retry').length > 3, 'some attempts')
    expect(harness.pipeline.status().breakers[0]).toMatchObject({ open: true, reason: full.message })
    await harness.source.takeAway(0, true)
    await until(() => harness.pipeline.status().breakers[0]?.open === false, 'the end of it')
  })

  it('waits for the dead-letter topic and commits nothing meanwhile', async () => {
    const harness = aPipeline()
    harness.dlqAway = true
    harness.source.append(0, 'a:1', 'bad')
    harness.source.give(0)
    start(harness)
    await until(() => harness.source.paused.has(0), 'the pause')
    expect(progress(harness)).toBe(0n)
    expect(harness.source.commits.size).toBe(0)
    expect(harness.pipeline.status().partitions[0]?.paused).toEqual(['dlq_away'])

    harness.dlqAway = false
    await until(() => harness.source.commits.get(0) === 2n, 'the commit')
    expect(harness.sent).toHaveLength(1)
  })

  it('sends a dead letter again that was not acknowledged, and none that was', async () => {
    const sent: bigint[] = []
    const harness = aPipeline({
      sink: {
        async send({ record: { offset } }) {
          sent.push(offset)
          if (offset === 1n && sent.length === 2) throw new BrokerUnavailableError('no leader')
          return { partition: 0, offset }
        },
        async probe() {},
      },
    })
    harness.source.append(0, 'bad', 'bad', 'bad')
    harness.source.give(0)
    start(harness)
    await until(() => harness.source.commits.get(0) === 3n, 'the commit')
    expect(sent).toEqual([0n, 1n, 2n, 1n])
  })

  it('tells of the dead-letter topic until the record that it refuses is through, though it answers every probe', async () => {
    const openAtAttempt: boolean[] = []
    const harness = aPipeline({
      sink: {
        async send() {
          const dlq = harness.pipeline.status().breakers.find(({ dependency }) => dependency === 'dlq')
          if (openAtAttempt.push(dlq?.open === true) < 4) throw new BrokerUnavailableError('message size too large')
          return { partition: 0, offset: 0n }
        },
        async probe() {},
      },
    })
    harness.source.append(0, 'bad')
    harness.source.give(0)
    start(harness)
    await until(() => harness.source.commits.get(0) === 1n, 'the commit')
    expect(openAtAttempt).toEqual([false, true, true, true])
    expect(harness.of('breaker_opened')).toHaveLength(1)
    expect(harness.of('breaker_closed')).toHaveLength(1)
  })

  it('takes a batch whose COMMIT was answered by nobody as written, once', async () => {
    const harness = aPipeline()
    harness.source.append(0, 'a:1', 'b:1')
    harness.store.loseReply(away)
    harness.source.give(0)
    start(harness)
    await until(() => harness.source.commits.get(0) === 2n, 'the commit')
    expect(harness.store.ledger).toHaveLength(1)
    expect(harness.of('ownership_lost')).toEqual([])
  })

  it('waits longer from attempt to attempt', async () => {
    const harness = aPipeline()
    const contended = new StoreContendedError('deadlock', { sqlState: '40P01' })
    harness.store.failNext('settle', contended, contended, contended)
    harness.source.append(0, 'a:1')
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 1n, 'progress')
    expect(harness.of('retry').map(({ delayMs }) => delayMs)).toEqual([50, 100, 200])
    expect(harness.of('breaker_opened'), 'contention is no outage').toEqual([])
  })

  it('looks for one record after a batch was contended three times', async () => {
    const harness = aPipeline()
    const contended = new StoreContendedError('timeout', { sqlState: '57014' })
    harness.store.failNext('settle', contended, contended, contended)
    harness.source.append(0, 'a:1')
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 1n, 'progress')
    expect(harness.store.works.map(({ isolate }) => isolate)).toEqual([false, false, false, true])
  })
})

describe('a record that is refused', () => {
  it('is dead-lettered alone; its neighbours are written, and the version that it had superseded too', async () => {
    const harness = aPipeline({ refuse: ({ value }) => (value === 'a:poison' ? refusal : undefined) })
    harness.source.append(0, 'a:1', 'b:1', 'a:poison', 'c:1')
    harness.source.give(0)
    start(harness)
    await until(() => harness.source.commits.get(0) === 4n, 'the commit')
    expect(valuesOf(harness.store.rows)).toEqual({ a: 'a:1', b: 'b:1', c: 'c:1' })
    expect(harness.sent).toMatchObject([
      { record: { offset: 2n }, key: 'a', rejection: { reason: 'store_rejected', error: '22003' } },
    ])
    expect(harness.store.ledger).toMatchObject([{ records: 4, written: 3, superseded: 0, dead_lettered: 1 }])
  })

  it('is diverted before the batch is settled', async () => {
    const harness = aPipeline({ refuse: ({ value }) => (value === 'a:poison' ? refusal : undefined) })
    harness.dlqAway = true
    harness.source.append(0, 'a:poison', 'b:1')
    harness.source.give(0)
    start(harness)
    await until(() => harness.of('retry').some(({ dependency }) => dependency === 'dlq'), 'a failed divert')
    await until(() => harness.source.paused.has(0), 'the pause')
    expect(harness.pipeline.status().partitions[0]?.paused).toEqual(['dlq_away'])
    expect(harness.store.rows.size).toBe(0)
    expect(progress(harness)).toBe(0n)
    harness.dlqAway = false
    await until(() => progress(harness) === 2n, 'progress')
    expect([...harness.store.rows.keys()]).toEqual(['b'])
  })

  it('is tried RETRY_MAX_ATTEMPTS times when nobody foresaw why it fails', async () => {
    const harness = aPipeline({ refuse: ({ value }) => (value === 'a:odd' ? new RangeError('odd') : undefined) })
    harness.source.append(0, 'a:odd', 'b:1')
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 2n, 'progress')
    expect(harness.sent).toMatchObject([
      { attempts: 3, rejection: { reason: 'unexpected_error', error: 'RangeError' } },
    ])
    expect([...harness.store.rows.keys()]).toEqual(['b'])
  })

  it('is dead-lettered when only the judge stumbles over it', async () => {
    const harness = aPipeline()
    harness.source.append(0, 'a:1', 'bug')
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 2n, 'progress')
    expect(harness.sent).toMatchObject([{ attempts: 3, rejection: { reason: 'unexpected_error', error: 'TypeError' } }])
    expect(JSON.stringify(harness.sent[0]?.rejection)).not.toContain('a bug of ours')
  })
})

describe('an error of ours stops the stream', () => {
  it.each([
    [
      'a missing table',
      { errors: [new StoreMisconfiguredError('relation "orders" does not exist')], values: ['a:1', 'b:1'] },
      'relation "orders" does not exist',
    ],
    [
      'a bug that is about no single record',
      { errors: [new RangeError('of ada'), new RangeError('of ada')], values: ['a:1', 'b:1'] },
      'unforeseen: RangeError; the log says where',
    ],
    [
      'a judge that fails on every record',
      { errors: [], values: ['bug', 'bug'] },
      'unforeseen: TypeError; the log says where',
    ],
  ])(
    '%s: nothing is written, dead-lettered or committed, and the cause quotes no record',
    async (_, { errors, values }, told) => {
      const harness = aPipeline()
      harness.store.failNext('settle', ...errors)
      harness.source.append(0, ...values)
      harness.source.give(0)
      await expect(harness.pipeline.run()).rejects.toThrow()
      expect(harness.store.rows.size).toBe(0)
      expect(harness.sent).toEqual([])
      expect(harness.source.commits.size).toBe(0)
      expect(harness.source.closed).toBe(true)
      expect(harness.pipeline.status()).toMatchObject({ state: 'failed', error: told })
    },
  )
})

describe('ownership', () => {
  it('drops a batch that another consumer has settled, and goes on from the progress it finds', async () => {
    const harness = aPipeline()
    harness.source.append(0, 'a:1')
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 1n, 'the first order')
    harness.store.moveProgress(P0, GROUP, 3n)
    harness.source.append(0, 'b:1', 'c:1')
    await until(() => harness.of('ownership_lost').length === 1, 'the lost fence')
    harness.source.append(0, 'd:1')
    await until(() => progress(harness) === 4n, 'progress')
    expect([...harness.store.rows.keys()]).toEqual(['a', 'd'])
    expect(harness.sent).toEqual([])
  })

  it('settles and commits what is in flight before it gives a partition back', async () => {
    const harness = aPipeline()
    const gate = holdWrites(harness)
    harness.source.append(0, 'a:1', 'b:1')
    harness.source.append(1, 'x:1')
    harness.source.give(0, 1)
    start(harness)
    await until(() => progress(harness) === 2n, 'the write in flight')
    const answered = harness.source.takeAway(0)
    harness.source.append(0, 'c:1')
    gate.open()
    await answered
    expect(harness.source.commits.get(0)).toBe(2n)
    expect(progress(harness)).toBe(2n)
    expect(harness.of('revoked')).toMatchObject([{ lost: false, drained: true }])
    harness.source.append(1, 'y:1')
    await until(() => harness.source.commits.get(1) === 2n, 'the kept partition flowing on')
  })

  it('commits nothing for a partition that was lost, though its write succeeds later', async () => {
    const harness = aPipeline()
    const gate = holdWrites(harness)
    harness.source.append(0, 'a:1')
    harness.source.append(1, 'x:1')
    harness.source.give(0, 1)
    start(harness)
    await until(() => progress(harness) === 1n, 'the write in flight')
    await harness.source.takeAway(0, true)
    gate.open()
    await until(() => harness.source.commits.get(1) === 1n, 'the commit of the other partition')
    expect(harness.source.commits.has(0)).toBe(false)
  })

  it('lets go of a partition within the bound when its batch cannot end', async () => {
    const harness = aPipeline({ drainTimeoutMs: 50 })
    harness.source.give(0, 1)
    start(harness)
    await until(() => harness.of('assigned').length === 1, 'the assignment')
    harness.store.fail(away)
    harness.source.append(0, 'b:1')
    await until(() => harness.of('breaker_opened').length === 1, 'the outage')
    await harness.source.takeAway(0)
    expect(harness.of('revoked')).toMatchObject([{ drained: false }])
    // From then on it is another consumer's: nothing of it is written or committed when the store is back
    harness.store.fail(undefined)
    harness.source.append(1, 'x:1')
    await until(() => harness.source.commits.get(1) === 1n, 'the commit of the other partition')
    expect(progress(harness)).toBe(0n)
    expect(harness.source.commits.has(0)).toBe(false)
  })

  it('repeats a commit that the broker refused', async () => {
    const harness = aPipeline()
    harness.source.refuseCommits.push({ ok: false, code: 27, message: 'rebalance in progress' })
    harness.source.append(0, 'a:1')
    harness.source.give(0)
    start(harness)
    await until(() => harness.source.commits.get(0) === 1n, 'the second try')
    expect(harness.of('commit_failed')).toHaveLength(1)
  })
})

describe('what the log does not hold any more', () => {
  it('writes down what retention removed before it was read, and goes on behind it', async () => {
    const harness = aPipeline()
    harness.source.append(0, 'a:1', 'b:1', 'c:1')
    harness.source.retain(0, 2n)
    harness.store.moveProgress(P0, GROUP, 1n)
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 3n, 'progress')
    expect(harness.store.ledger).toMatchObject([
      { from: 1n, to: 2n, expired: 1n },
      { from: 2n, to: 3n, records: 1 },
    ])
    expect(harness.of('expired')).toHaveLength(1)
  })

  it('closes dead letters of what is read again behind it', async () => {
    const harness = aPipeline({ judge: record => judge({ ...record, value: Buffer.from(mended ? 'b:1' : 'bad') }) })
    let mended = false
    harness.source.append(0, 'a:1', 'b:1')
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 2n, 'both dead letters')
    await harness.source.takeAway(0)
    mended = true
    harness.store.moveProgress(P0, GROUP, 0n)
    harness.source.retain(0, 1n)
    harness.source.give(0)
    await until(() => harness.of('expired').length === 1 && progress(harness) === 2n, 'the second reading')
    expect([...harness.store.inbox.letters.values()].map(({ state }) => state)).toEqual(['open', 'resolved'])
  })

  it('reads the progress again when it moved just then, instead of leaving the partition to nobody', async () => {
    const harness = aPipeline()
    harness.source.append(0, 'a:1', 'b:1', 'c:1', 'd:1')
    harness.source.retain(0, 2n)
    harness.store.moveProgress(P0, GROUP, 1n)
    harness.store.failNext('expire', new OwnershipLostError('a batch that was in flight moved it'))
    harness.source.give(0)
    start(harness)
    await until(() => harness.source.commits.get(0) === 4n, 'everything being settled')
  })

  it('halts a partition whose progress is beyond its end, names the way out, and goes on with the others', async () => {
    const harness = aPipeline()
    harness.source.append(0, 'a:1')
    harness.source.append(1, 'b:1')
    harness.store.moveProgress(P0, GROUP, 77n)
    harness.source.give(0, 1)
    start(harness)
    await until(() => harness.source.commits.get(1) === 1n, 'the other partition')
    expect(progress(harness)).toBe(77n)
    expect(harness.pipeline.status().partitions.find(({ partition }) => partition === 0)?.halted).toMatch(
      /holdfast seek --partition 0/,
    )
  })
})

describe('a topic that is deleted and made anew', () => {
  const partitionOf = (harness: Harness, partition: number) =>
    harness.pipeline.status().partitions.find(status => status.partition === partition)

  it('halts where it was read, however long it has grown, and goes on where nothing was', async () => {
    const harness = aPipeline({ readTopicId: async () => 'topic-2' })
    harness.source.append(0, 'a:1', 'b:1', 'c:1')
    harness.source.append(1, 'd:1')
    harness.store.moveProgress(P0, GROUP, 2n)
    harness.store.moveProgress({ ...P0, partition: 1 }, GROUP, 0n)
    await harness.store.identify(GROUP, [P0, { ...P0, partition: 1 }], 'topic-1')
    harness.source.give(0, 1)
    start(harness)
    await until(() => harness.source.commits.get(1) === 1n, 'the other partition')
    expect(progress(harness)).toBe(2n)
    expect(partitionOf(harness, 0)?.halted).toMatch(/topic-1.*topic-2.*holdfast seek --partition 0/)
    expect(await harness.store.readProgress(GROUP, [{ ...P0, partition: 1 }])).toMatchObject([{ topicId: 'topic-2' }])
  })

  it('halts as well where an operator had moved what was read back to its beginning', async () => {
    const harness = aPipeline({ readTopicId: async () => 'topic-2' })
    harness.source.append(0, 'a:1', 'b:1', 'c:1')
    harness.store.moveProgress(P0, GROUP, 0n)
    for (const to of [2n, 0n]) harness.store.seek(P0, GROUP, to)
    await harness.store.identify(GROUP, [P0], 'topic-1')
    harness.source.give(0)
    start(harness)
    await until(() => partitionOf(harness, 0)?.halted !== undefined, 'the halt')
    expect(progress(harness)).toBe(0n)
  })

  it('is known from then on where it was not, and halts nothing', async () => {
    const harness = aPipeline({ readTopicId: async () => 'topic-1' })
    harness.source.append(0, 'a:1', 'b:1')
    harness.store.moveProgress(P0, GROUP, 1n)
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 2n, 'progress')
    expect(await harness.store.readProgress(GROUP, [P0])).toMatchObject([{ topicId: 'topic-1' }])
  })

  it('halts under the feet of a running stream', async () => {
    let topicId = 'topic-1'
    const harness = aPipeline({ readTopicId: async () => topicId, clock: fastClock(1_000) })
    harness.source.append(0, 'a:1', 'b:1')
    harness.source.give(0)
    start(harness)
    await until(() => progress(harness) === 2n, 'progress')
    topicId = 'topic-2'
    await until(() => partitionOf(harness, 0)?.halted !== undefined, 'the halt')
    harness.source.append(0, 'c:1')
    expect(progress(harness)).toBe(2n)
    expect(harness.of('partition_halted')).toHaveLength(1)
  })
})

describe('stopping', () => {
  it('settles and commits what is in flight, then leaves the group', async () => {
    const harness = aPipeline()
    harness.source.append(0, ...Array.from({ length: 200 }, (_, i) => `o${i}:1`))
    harness.source.give(0)
    const running = harness.pipeline.run()
    await until(() => harness.store.ledger.length >= 3, 'some batches')
    await harness.pipeline.stop()
    await running
    expect(harness.source.commits.get(0)).toBe(progress(harness))
    expect(harness.source.closed).toBe(true)
    expect(harness.pipeline.status().state).toBe('stopped')
  })

  it('ends during an outage as well, within the bound', async () => {
    const harness = aPipeline()
    harness.store.fail(away)
    harness.source.append(0, 'a:1')
    harness.source.give(0)
    start(harness)
    await until(() => harness.of('retry').length > 0, 'a retry')
    await harness.pipeline.stop(50)
    expect(harness.source.closed).toBe(true)
  })

  it('is safe before the start, and twice', async () => {
    const harness = aPipeline()
    await harness.pipeline.stop()
    await harness.pipeline.stop()
    await harness.pipeline.run()
    expect(harness.source.closed).toBe(true)
  })
})
