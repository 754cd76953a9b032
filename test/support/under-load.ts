import { setTimeout as wait } from 'node:timers/promises'
import { expect, onTestFinished } from 'vitest'
import { HEADER, headerText } from '#src/engine/headers.ts'
import type { SourceRecord } from '#src/engine/record.ts'
import { createGenerator, type GeneratedOrder } from '#src/streams/orders/generator.ts'
import { readHistory, recordHistory } from '../chaos/history.ts'
import { createVerdicts } from '../chaos/invariants.ts'
import { SHARES, sequenceOf, startLoad } from '../chaos/load.ts'
import { createWatermark } from '../chaos/watermark.ts'
import { differences, generated, modelOf } from './model.ts'
import { orderPlan } from './order-stream.ts'
import { ask, eventually, isReady, type Service } from './service.ts'
import { type Stream, totalOf } from './stream.ts'

/** A stream of orders that flows without a pause while things are done to its brokers, and the measure of what that costs. */
export interface UnderLoad {
  /**
   * Resolves once every partition has moved for a while without a stop, after `work` was begun.
   * @param partitions their number; default: as at the beginning
   */
  whileMoving(work: () => Promise<void> | void, partitions?: number): Promise<Stop>
  /** Ends the load, and holds all that there is in the end against a model of it: nothing lost, nothing twice, nothing stale. */
  endsWhole(options?: { readonly keysMoved?: boolean }): Promise<void>
}

/** How long something stood still, and what the service reported meanwhile. */
export interface Stop {
  /** The longest time in which some partition did not move, in ms. */
  readonly longestMs: number
  /** Reasons of `/readyz`, each once, in the order in which they came. */
  readonly reasons: readonly string[]
}

export function inWords({ longestMs, reasons }: Stop): string {
  return `the longest stop was ${(longestMs / 1_000).toFixed(1)} s; /readyz: ${reasons.join(' | ') || 'ready throughout'}`
}

const RATE = 200
const EVERY_MS = 100
const RECOVERY_MS = 120_000
/** The load finds a new leader at once: what is measured is the service. */
const QUICK = { 'topic.metadata.refresh.interval.ms': '1000', 'socket.timeout.ms': '6000' }

/** @param services those that read the stream; asked for their readiness */
export async function startUnderLoad(
  stream: Stream,
  services: readonly Service[],
  { seed, partitions }: { readonly seed: number; readonly partitions: number },
): Promise<UnderLoad> {
  const verdicts = createVerdicts(() => {})
  const progress = createWatermark('progress', verdicts, () => performance.now())
  const stopping = new AbortController()
  onTestFinished(() => stopping.abort())
  const reasons = new Set<string>()

  await recordHistory(stream, [{ name: 'orders', plan: orderPlan }])
  const load = await startLoad({
    connection: { brokers: [stream.brokers], security: {}, extra: QUICK },
    stream: { topic: stream.topic, createGenerator },
    seed,
    rate: RATE,
  })
  onTestFinished(() => load.stop())

  async function every(look: () => Promise<void>): Promise<void> {
    while (!stopping.signal.aborted) {
      await look().catch(() => {})
      await wait(EVERY_MS, undefined, { signal: stopping.signal }).catch(() => {})
    }
  }
  const watching = Promise.all([
    every(async () => {
      const rows = await stream.query<{ partition: number; next: string }>(
        'SELECT partition, next_offset AS next FROM holdfast.stream_progress WHERE topic = $1 AND group_id = $2',
        [stream.topic, stream.groupId],
      )
      for (const { partition, next } of rows) progress.saw(partition, BigInt(next))
    }),
    ...services.map(service =>
      every(async () => {
        for (const reason of failing((await ask(service, '/readyz?verbose')).body)) reasons.add(reason)
      }),
    ),
  ])

  async function whileMoving(work: () => Promise<void> | void, count = partitions): Promise<Stop> {
    reasons.clear()
    const from = performance.now()
    await work()
    // What was fetched before may still be settled: only then does it show.
    const among = Array.from({ length: count }, (_, i) => i)
    const steady = () => progress.steadySince(among, from + 1_000)
    const since = await eventually(steady, 'every partition moving', RECOVERY_MS)
    return { longestMs: progress.longestGap(from, since), reasons: [...reasons] }
  }

  await whileMoving(() => {})
  return {
    whileMoving,
    async endsWhole({ keysMoved = false } = {}) {
      await load.stop()
      expect(load.unknown).toBe(0)
      // Brokers that change may leave a record in the topic twice, or behind a later one: what counts is what stands there.
      const inTopic = placedIn(await stream.readAll(stream.topic), generated(load.sent.length, { seed, ...SHARES }))
      expect(new Set(inTopic.map(({ sequence }) => sequence)).size).toBe(load.sent.length)
      const count = inTopic.length
      await eventually(async () => (await stream.committed()) === count, 'all of it being committed', RECOVERY_MS)
      for (const service of services) await eventually(() => isReady(service), 'readiness')
      stopping.abort()
      await watching
      const model = modelOf(newestLast(inTopic))
      expect(await differences(stream, model)).toEqual([])
      const letters = (await stream.readAll(stream.dlqTopic)).map(letter => headerText(letter, HEADER.id))
      expect(new Set(letters).size).toBe(model.invalid.length)
      const { offsets, records, duplicate, stale } = totalOf(await stream.ledger())
      expect({ offsets, records, duplicate }).toEqual({ offsets: count, records: count, duplicate: 0 })
      const history = await readHistory(stream, { name: 'orders' })
      expect(history.repeated).toEqual([])
      if (!keysMoved) expect([stale, history.backwards]).toEqual([0, []])
      expect(verdicts.violations).toEqual([])
      expect(await stream.findings()).toEqual([])
      expect(await stream.findings({ deep: true })).toEqual([])
    },
  }
}

interface Placed {
  readonly sequence: number
  readonly partition: number
  readonly record: GeneratedOrder
}

function placedIn(topic: readonly SourceRecord[], sent: readonly GeneratedOrder[]): Placed[] {
  return topic.flatMap(found => {
    const sequence = sequenceOf(found) ?? -1
    const record = sent[sequence]
    return record === undefined ? [] : [{ sequence, partition: found.partition, record }]
  })
}

/** On a partition the higher offset is the newer version; of a key that is on several, what was sent later. */
function newestLast(placed: readonly Placed[]): GeneratedOrder[] {
  const newest = new Map<string, Placed>()
  for (const one of placed) {
    const { uid } = one.record
    const before = uid === null ? undefined : newest.get(uid)
    const isNewer = before === undefined || before.partition === one.partition || before.sequence < one.sequence
    if (uid !== null && isNewer) newest.set(uid, one)
  }
  const invalid = placed.filter(({ record }) => record.uid === null)
  return [...invalid, ...newest.values()].map(({ record }) => record)
}

function failing(body: string): string[] {
  const { checks } = JSON.parse(body) as { readonly checks: readonly { name: string; ok: boolean; reason?: string }[] }
  return checks.flatMap(({ name, ok, reason }) => (ok ? [] : [`${name}: ${reason}`]))
}
