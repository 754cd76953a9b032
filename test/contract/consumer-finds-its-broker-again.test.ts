import { expect, it, onTestFinished } from 'vitest'
import { ensureTopics } from '#src/engine/kafka/admin.ts'
import { createConsumer } from '#src/engine/kafka/consumer.ts'
import { startProducer } from '#src/engine/kafka/producer.ts'
import type { RecordSource, SourceEvent } from '#src/engine/ports.ts'
import { watchHeldUp } from '../support/held-up.ts'
import { startKafkaBehindAWire } from '../support/kafka-behind-a-wire.ts'
import { freshTopics } from '../support/stack.ts'

const SESSION_MS = 6_000
/** How long a client that is well takes to find its broker again, and more. One that is not is replaced some time later. */
const BACK_WITHIN_MS = 8_000
/** One round in three or so leaves the client without any broker; fewer where it is slow to ask. */
const TRIED_FOR_MS = 150_000

/**
 * A lone broker that was frozen beyond its session tells its clients for a moment that there is no broker at all. A client
 * that believes it at a bad moment never asks anybody again (https://github.com/confluentinc/librdkafka/issues/5301).
 */
it('finds its broker again after it was told that there is none, and leaves in time while it has not', async () => {
  // Given two consumers that reach their broker over a wire
  const behind = await startKafkaBehindAWire()
  onTestFinished(() => behind[Symbol.asyncDispose]())
  const { kafka, wire, wiredBrokers } = behind
  const names = freshTopics('lost-broker')
  await using producer = await startProducer({ connection: { brokers: [kafka.brokers], security: {}, extra: {} } })
  await ensureTopics({ brokers: [kafka.brokers], security: {}, extra: {} }, producer, {
    ...names,
    partitions: 1,
    replication: 1,
  })
  const warnings: string[] = []
  const extra = {
    'session.timeout.ms': String(SESSION_MS),
    'heartbeat.interval.ms': '1000',
    // It is told so when it asks.
    'topic.metadata.refresh.interval.ms': '300',
  }
  const [one, other] = ['one', 'other'].map(group => {
    const connection = { brokers: [wiredBrokers], security: {}, extra }
    const onWarning = (text: string) => void (group === 'one' && warnings.push(text))
    return aReader(createConsumer({ connection, topic: names.topic, groupId: `${names.groupId}-${group}`, onWarning }))
  })
  if (one === undefined || other === undefined) throw new Error('there are two')
  await Promise.all([one.start(), other.start()])
  let sent = 0
  async function isRead(withinMs: number): Promise<boolean> {
    await producer.produce({ topic: names.topic, partition: 0, key: null, value: Buffer.from('x'), headers: [] })
    sent += 1
    for (const end = performance.now() + withinMs; one?.next !== BigInt(sent); ) {
      if (performance.now() > end) return false
      await new Promise<void>(resolve => setTimeout(resolve, 50))
    }
    return true
  }
  expect(await isRead(30_000)).toBe(true)

  // When they are told that there is no broker, until one of them does not come back
  const triedFrom = performance.now()
  const replaced = () => warnings.filter(text => text.includes('replaced by a new one'))
  for (let rounds = 0; replaced().length === 0; rounds++) {
    if (performance.now() - triedFrom > TRIED_FOR_MS)
      throw new Error(`the client has found its broker again ${rounds} times, by itself`)
    await wire.set({ kind: 'no-brokers' })
    // For one to three seconds: how soon it asks depends on the machine.
    await new Promise<void>(resolve => setTimeout(resolve, 1_000 + (rounds % 3) * 1_000))
    await wire.set({ kind: 'pass' })
    if (await isRead(BACK_WITHIN_MS)) continue

    // Then a close does not hang on such a client
    const heldUpMs = watchHeldUp()
    const closingAt = performance.now()
    await other.close()
    expect(performance.now() - closingAt).toBeLessThan(SESSION_MS + 5_000 + heldUpMs())

    // And one that is left to itself begins anew, and reads on from where its loop assigns it; one that was merely slow is tried once more
    expect(await isRead(90_000)).toBe(true)
  }
  expect(replaced()).toHaveLength(1)
  expect(one.events.map(({ kind }) => kind).slice(-3)).toEqual(['assigned', 'revoked', 'assigned'])
  expect(one.events.at(-2)).toMatchObject({ lost: true })
  await one.close()
}, 360_000)

interface Reader {
  /** The next offset that it would read. */
  readonly next: bigint
  /** Rebalances with partitions, in order. */
  readonly events: readonly Exclude<SourceEvent, { kind: 'fetch_failed' }>[]
  start(): Promise<void>
  close(): Promise<void>
}

/** Polls and answers, as the pipeline does. */
function aReader(source: RecordSource): Reader {
  const events: Exclude<SourceEvent, { kind: 'fetch_failed' }>[] = []
  let next = 0n
  let closed = false
  let looping: Promise<void> = Promise.resolve()
  async function loop(): Promise<void> {
    while (!closed) {
      for (const record of await source.poll(100, 100)) next = record.offset + 1n
      const event = source.nextEvent()
      if (event === undefined || event.kind === 'fetch_failed') continue
      if (event.partitions.length > 0) events.push(event)
      if (event.kind === 'assigned') source.assign(event.partitions.map(at => ({ ...at, nextOffset: next })))
      else source.unassign(event.partitions)
    }
  }
  return {
    events,
    get next() {
      return next
    },
    async start() {
      await source.start()
      looping = loop()
    },
    async close() {
      closed = true
      await looping
      await source.close()
    },
  }
}
