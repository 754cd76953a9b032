import { describe, expect, it } from 'vitest'
import { LOG_END, type Progress, type RecordSource, type SourceEvent } from '#src/engine/ports.ts'
import type { SourceRecord, TopicPartition } from '#src/engine/record.ts'
import { eventually } from '../support/service.ts'

export interface SourceHarness {
  /** Of two partitions, both empty. */
  readonly topic: string
  /** Alone in its group, not started. */
  readonly source: RecordSource
  append(partition: number, ...texts: string[]): Promise<unknown>
  /** Another member joins the group, and is given partition or the other; the source must poll for that. */
  another(): Promise<Other>
  /** The membership ends without a say of the source, which hears of it by polling; only where it was opened as `losable`. */
  lose(): Promise<void>
}

export interface Other {
  /** Leaves what it has to the source. */
  leave(): Promise<void>
}

type Rebalance = Exclude<SourceEvent, { kind: 'fetch_failed' }>

/** The contract of {@link RecordSource}, for the real consumer and for its stand-in. */
export function recordSourceSuite(open: (how?: { readonly losable: boolean }) => Promise<SourceHarness>): void {
  async function started(losable = false) {
    const harness = await open({ losable })
    const { source, topic } = harness
    await source.start()
    const both: readonly TopicPartition[] = [0, 1].map(partition => ({ topic, partition }))
    const from = (partition: number, nextOffset: bigint): Progress => ({ topic, partition, nextOffset })
    return { ...harness, both, from }
  }

  /** Both partitions are assigned, at these offsets. */
  async function assigned(at: readonly [bigint, bigint] = [0n, 0n], losable = false) {
    const harness = await started(losable)
    const { partitions } = await eventOf(harness.source, 'assigned')
    expect(partitions.map(({ partition }) => partition).sort()).toEqual([0, 1])
    harness.source.assign(at.map((nextOffset, partition) => harness.from(partition, nextOffset)))
    return harness
  }

  it('brings its partitions as an event, and no record before that is answered', async () => {
    const { source, append, both, from } = await started()
    await append(0, 'a')
    await append(1, 'b')

    const { partitions } = await eventOf(source, 'assigned')
    expect(partitions).toHaveLength(2)
    expect(partitions).toEqual(expect.arrayContaining(both.map(each => ({ ...each }))))
    expect(await source.poll(10, 50)).toEqual([])
    expect(await source.poll(10, 50)).toEqual([])
    source.assign([from(0, 0n), from(1, 0n)])

    expect((await read(source, 2)).map(textOf).sort()).toEqual(['a', 'b'])
  })

  it('reads each partition in order from where it is told to, each record once, so many at a time', async () => {
    const harness = await open()
    await harness.append(0, 'a0', 'a1', 'a2', 'a3')
    await harness.append(1, 'b0', 'b1', 'b2')
    const { source, topic } = harness
    await source.start()
    await eventOf(source, 'assigned')
    source.assign([
      { topic, partition: 0, nextOffset: 1n },
      { topic, partition: 1, nextOffset: 0n },
    ])

    const sizes: number[] = []
    const records = await read(source, 6, { max: 2, sizes })

    expect(Math.max(...sizes)).toBeLessThanOrEqual(2)
    expect(textsOf(records, 0)).toEqual(['a1', 'a2', 'a3'])
    expect(textsOf(records, 1)).toEqual(['b0', 'b1', 'b2'])
    expect(records.find(record => textOf(record) === 'a2')).toMatchObject({ topic, partition: 0, offset: 2n })
    expect(await polls(source)).toEqual([])
  })

  it('gives nothing of a paused partition, and after it is resumed all that came meanwhile', async () => {
    const { source, append, both } = await assigned()
    await append(0, 'a0', 'a1', 'a2')
    const first = await read(source, 1, { max: 1 })
    const [p0, p1] = both
    if (p0 === undefined || p1 === undefined) throw new Error('there are two partitions')

    // The client holds the others already.
    source.pause([p0])
    await append(0, 'a3')
    await append(1, 'b0')
    expect((await read(source, 1)).map(textOf)).toEqual(['b0'])
    expect(await polls(source)).toEqual([])
    source.resume([p0])

    const rest = await read(source, 3)
    expect([...first, ...rest].map(textOf)).toEqual(['a0', 'a1', 'a2', 'a3'])
    expect(await polls(source)).toEqual([])
  })

  it('moves a partition back and forth, the other one goes on', async () => {
    const { source, append, from } = await assigned()
    await append(0, 'a0', 'a1', 'a2', 'a3')
    await append(1, 'b0')
    await read(source, 5)

    await source.seek(from(0, 1n))
    expect((await read(source, 3)).map(textOf)).toEqual(['a1', 'a2', 'a3'])
    await source.seek(from(0, 3n))
    await append(1, 'b1')
    expect((await read(source, 2)).map(textOf).sort()).toEqual(['a3', 'b1'])
  })

  it('starts at the end where it is told to: what is there by then does not come, and it can be moved back to it', async () => {
    const { source, append, from } = await started()
    await append(0, 'a', 'b')
    await append(1, 'c')
    await eventOf(source, 'assigned')
    source.assign([from(0, LOG_END), from(1, 0n)])
    expect((await read(source, 1)).map(textOf)).toEqual(['c'])
    expect(await source.poll(10, 500)).toEqual([])
    await append(0, 'd')
    expect((await read(source, 1)).map(textOf)).toEqual(['d'])
    await source.seek(from(0, 1n))
    expect((await read(source, 2)).map(textOf)).toEqual(['b', 'd'])
  })

  it('says that a position is not in the log, and reads on from where the partition is moved to', async () => {
    const { source, append, from } = await assigned([9n, 0n])
    await append(0, 'a0', 'a1')

    await eventually(async () => {
      await source.poll(10, 50)
      return source.nextEvent()?.kind === 'fetch_failed'
    }, 'the failed fetch')
    await source.seek(from(0, 1n))

    expect((await read(source, 1)).map(textOf)).toEqual(['a1'])
    expect(source.nextEvent()).toBeUndefined()
  })

  it('commits what it is told to, with the answer of the broker, which comes while it polls', async () => {
    const { source, append, both, from } = await assigned()
    await append(0, 'a0', 'a1')
    expect(await source.committed(both)).toEqual([])

    let isAnswered = false
    const answer = source.commit([from(0, 2n)]).finally(() => {
      isAnswered = true
    })
    await eventually(async () => {
      await source.poll(10, 20)
      return isAnswered
    }, 'the answer')

    expect(await answer).toEqual({ ok: true })
    expect(await source.committed(both)).toEqual([from(0, 2n)])
  })

  it('refuses to commit for a partition that it does not have', async () => {
    const { source, from } = await assigned()
    expect(await source.commit([from(7, 1n)])).toMatchObject({ ok: false, code: expect.any(Number) })
    await expect(source.seek(from(7, 1n))).rejects.toThrow('no longer ours')
  })

  it('knows where a partition begins and ends, while it is paused as well', async () => {
    const { source, append, both } = await assigned()
    await append(1, 'b0', 'b1')
    await read(source, 2)
    source.pause(both)
    const [p0, p1] = both
    if (p0 === undefined || p1 === undefined) throw new Error('there are two partitions')
    expect(await source.watermarks(p0)).toEqual({ low: 0n, high: 0n })
    expect(await source.watermarks(p1)).toEqual({ low: 0n, high: 2n })
    expect(source.cachedWatermarks(p1)).toEqual({ low: 0n, high: 2n })
  })

  describe('when another member joins', () => {
    it('a partition is still its own until it gives it back, however late: it may commit', async () => {
      const { source, append, another, from } = await assigned()
      await append(0, 'a0')
      await append(1, 'b0')
      await read(source, 2)
      const other = await another()

      const { partitions, lost } = await eventOf(source, 'revoked')
      expect([partitions.length, lost]).toEqual([1, false])
      const [gone] = partitions
      if (gone === undefined) throw new Error('a partition is taken away')
      expect(await committing(source, [from(gone.partition, 1n)])).toEqual({ ok: true })
      source.unassign(partitions)

      // Nothing of it comes any more, and it cannot be moved; the other one flows.
      await append(0, 'a1')
      await append(1, 'b1')
      expect((await read(source, 1)).map(({ partition }) => partition)).toEqual([1 - gone.partition])
      expect(await polls(source)).toEqual([])
      await expect(source.seek({ ...gone, nextOffset: 0n })).rejects.toThrow('no longer ours')
      expect(await source.commit([{ ...gone, nextOffset: 2n }])).toMatchObject({ ok: false })
      await other.leave()
    })

    it('what was taken away while it was paused flows again once it is given back', async () => {
      const { source, append, another, both } = await assigned()
      source.pause(both)
      const other = await another()
      const { partitions } = await eventOf(source, 'revoked')
      source.unassign(partitions)
      const [gone] = partitions
      if (gone === undefined) throw new Error('a partition is taken away')

      const leaving = other.leave()
      const back = await eventually(async () => {
        const event = await eventOf(source, 'assigned')
        source.assign(event.partitions.map(each => ({ ...each, nextOffset: 0n })))
        return event.partitions.find(({ partition }) => partition === gone.partition)
      }, 'the partition that comes back')
      await leaving
      expect(back).toEqual(gone)

      // From where it was assigned; the other one stays paused.
      await append(0, 'a0')
      await append(1, 'b0')
      expect((await read(source, 1)).map(({ partition }) => partition)).toEqual([gone.partition])
      expect(await polls(source)).toEqual([])
    })
  })

  it('reports partitions that are lost, commits nothing of them, and gets them anew', async () => {
    const { source, append, lose, from, both } = await assigned([0n, 0n], true)
    await append(0, 'a0')
    await read(source, 1)
    await lose()

    const { partitions, lost } = await eventOf(source, 'revoked')
    expect([partitions.length, lost]).toEqual([2, true])
    expect(await committing(source, [from(0, 1n)])).toMatchObject({ ok: false })
    source.unassign(partitions)
    const seen = new Set<number>()
    await eventually(async () => {
      const event = await eventOf(source, 'assigned')
      source.assign(event.partitions.map(each => ({ ...each, nextOffset: 0n })))
      for (const { partition } of event.partitions) seen.add(partition)
      return seen.size === 2
    }, 'both partitions')
    expect((await read(source, 1)).map(textOf)).toEqual(['a0'])
    expect(await source.committed(both)).toEqual([])
  })

  describe('closing', () => {
    it('is done twice, also while a rebalance is not answered', async () => {
      const { source } = await started()
      await eventOf(source, 'assigned')
      await Promise.all([source.close(), source.close()])
      await source.close()
    })

    it('comes before a start as well, and nothing is started after it', async () => {
      const { source } = await open()
      await source.close()
      await expect(source.start()).rejects.toThrow('closed')
    })

    it('answers a commit that waits: it was not done', async () => {
      const { source, from } = await assigned()
      const answer = source.commit([from(0, 0n)])
      await source.close()
      expect(await answer).toMatchObject({ ok: false })
    })
  })
}

/** Polls until the next rebalance, which must be of this kind, and leaves it to the caller to answer. */
async function eventOf<K extends Rebalance['kind']>(
  source: RecordSource,
  kind: K,
): Promise<Extract<Rebalance, { kind: K }>> {
  return await eventually(async () => {
    await source.poll(10, 50)
    const event = nextEvent(source)
    if (event !== undefined && event.kind !== kind) throw new Error(`${event.kind} instead of ${kind}`)
    return event as Extract<Rebalance, { kind: K }> | undefined
  }, kind)
}

/** Rebalances of other members that change nothing here are answered on the way. */
function nextEvent(source: RecordSource): SourceEvent | undefined {
  const event = source.nextEvent()
  if (event === undefined || event.kind === 'fetch_failed' || event.partitions.length > 0) return event
  if (event.kind === 'assigned') source.assign([])
  else source.unassign([])
  return undefined
}

async function poll(source: RecordSource, max = 10): Promise<SourceRecord[]> {
  const records = await source.poll(max, 50)
  const event = nextEvent(source)
  if (event !== undefined) throw new Error(`${event.kind} without cause`)
  return records
}

/** Polls until there are so many records, and no more. */
async function read(
  source: RecordSource,
  count: number,
  { max = 10, sizes = [] }: { readonly max?: number; readonly sizes?: number[] } = {},
): Promise<SourceRecord[]> {
  const records: SourceRecord[] = []
  await eventually(async () => {
    const polled = await poll(source, max)
    sizes.push(polled.length)
    records.push(...polled)
    return records.length >= count
  }, `${count} records`)
  expect(records.map(textOf)).toHaveLength(count)
  return records
}

/** What comes within a few polls more: to see that nothing does. */
async function polls(source: RecordSource): Promise<string[]> {
  const texts: string[] = []
  for (let n = 0; n < 4; n++) texts.push(...(await poll(source)).map(textOf))
  return texts
}

async function committing(source: RecordSource, positions: readonly Progress[]) {
  let isAnswered = false
  const answer = source.commit(positions).finally(() => {
    isAnswered = true
  })
  await eventually(async () => {
    if (!isAnswered) await source.poll(10, 20)
    return isAnswered
  }, 'the answer to the commit')
  return await answer
}

function textOf(record: SourceRecord): string {
  return String(record.value)
}

function textsOf(records: readonly SourceRecord[], of: number): string[] {
  return records.filter(({ partition }) => partition === of).map(textOf)
}
