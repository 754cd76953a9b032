import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { NativeError, NativeMetadata, NativeProducer } from '#src/engine/kafka/native.ts'
import { type KafkaProducer, startProducer } from '#src/engine/kafka/producer.ts'

/** What a producer does about a native client that does not find its brokers again. The clients and the time are played. */

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

interface FakeProducer extends NativeProducer {
  /** Whether a broker answers it. */
  hears: boolean
  /** Whether what it sends is acknowledged. */
  acknowledged: boolean
  /** Replicas of the partition that are in sync. */
  isrs: number[]
  /** What it was handed and has not reported on, by its opaque. */
  readonly held: unknown[]
  readonly disconnected: boolean
  /** Reports on all that it holds. */
  report(error?: NativeError): void
  /** What it reports as the offset of records that it delivers. Default: the next one. */
  offset: number | undefined
  /** Inherited by real ones; frees a client that did not connect. */
  _disconnect(done: () => void): void
}

const TIMED_OUT: NativeError = { message: 'Local: Message timed out', code: -192 }
const AWAY: NativeError = { message: 'Local: All broker connections are down', code: -187 }

function createFakeProducer(hears: boolean): FakeProducer {
  const held: unknown[] = []
  const listeners = new Map<string, (...args: never[]) => void>()
  let disconnected = false
  let next = 0
  function answer(done: (error: NativeError | null, result: NativeMetadata) => void, timeoutMs: number): void {
    const partition = { id: 0, leader: 1, replicas: [1, 2, 3], isrs: client.isrs }
    const metadata = { brokers: [{ id: 1 }], topics: [{ name: 'orders.dlq', partitions: [partition] }] }
    const error = client.hears ? null : AWAY
    setTimeout(() => done(error, metadata), client.hears ? 1 : timeoutMs)
  }
  const client: FakeProducer = {
    hears,
    acknowledged: true,
    offset: undefined,
    isrs: [1, 2, 3],
    held,
    get disconnected() {
      return disconnected
    },
    report(error) {
      for (const opaque of held.splice(0)) {
        const report = { topic: 'orders.dlq', partition: 0, offset: client.offset ?? next++, opaque }
        listeners.get('delivery-report')?.(...([error ?? null, report] as never[]))
      }
    },
    connect: ({ timeout }, done) => answer(done, timeout),
    disconnect(done) {
      disconnected = true
      setTimeout(done, 1)
    },
    _disconnect(done) {
      disconnected = true
      setTimeout(done, 1)
    },
    on: (event, listener) => void listeners.set(event, listener),
    getMetadata: ({ timeout }, done) => answer(done, timeout),
    queryWatermarkOffsets: () => {},
    setPollInBackground: () => {},
    produce(_topic, _partition, _value, _key, _timestampMs, opaque) {
      held.push(opaque)
      if (client.hears && client.acknowledged) setTimeout(() => client.report(), 5)
    },
  }
  return client
}

interface Stage {
  readonly producer: KafkaProducer
  /** Every client that was made, in order. */
  readonly clients: readonly FakeProducer[]
  readonly warnings: readonly string[]
  /** Whether a client that is made from now on hears a broker. */
  reachable: boolean
  client(index: number): FakeProducer
  produce(): Promise<{ readonly offset: bigint }>
}

async function aProducer(onClient: (count: number) => void = () => {}): Promise<Stage> {
  const clients: FakeProducer[] = []
  const warnings: string[] = []
  let reachable = true
  const starting = startProducer({
    connection: { brokers: ['kafka:9092'], security: {}, extra: {} },
    onWarning: text => warnings.push(text),
    createClient() {
      const client = createFakeProducer(reachable)
      clients.push(client)
      onClient(clients.length)
      return client
    },
  })
  await vi.advanceTimersByTimeAsync(10)
  const producer = await starting
  return {
    producer,
    clients,
    warnings,
    get reachable() {
      return reachable
    },
    set reachable(on) {
      reachable = on
    },
    client(index) {
      const client = clients[index]
      if (client === undefined) throw new Error(`there is no client ${index}`)
      return client
    },
    produce: () => producer.produce({ topic: 'orders.dlq', key: null, value: Buffer.from('x'), headers: [] }),
  }
}

it('is replaced when it acknowledges nothing while another one connects, and goes with its last report', async () => {
  const { client, clients, produce, warnings } = await aProducer()
  const acknowledged = produce()
  await vi.advanceTimersByTimeAsync(10)
  expect(await acknowledged).toEqual({ partition: 0, offset: 0n })

  // When it hears no broker any more
  client(0).hears = false
  const stuck = produce()
  const refused = expect(stuck).rejects.toMatchObject({ code: 'broker_unavailable' })
  await vi.advanceTimersByTimeAsync(9_000)
  expect(clients).toHaveLength(1)
  await vi.advanceTimersByTimeAsync(4_000)

  // Then a new one takes over what comes from now on
  expect(clients).toHaveLength(2)
  expect(warnings).toEqual([expect.stringContaining('replaced by a new one')])
  const next = produce()
  await vi.advanceTimersByTimeAsync(10)
  expect(await next).toEqual({ partition: 0, offset: 0n })

  // And the old one is kept until it has told what became of its last record
  expect(client(0)).toMatchObject({ disconnected: false, held: [expect.anything()] })
  client(0).report(TIMED_OUT)
  await vi.advanceTimersByTimeAsync(10)
  await refused
  expect(client(0).disconnected).toBe(true)
  await vi.advanceTimersByTimeAsync(60_000)
  expect(clients).toHaveLength(2)
})

it('is not replaced while the topic has too few replicas in sync, and its records fail for that reason', async () => {
  const { client, clients, produce, warnings } = await aProducer()
  client(0).acknowledged = false
  client(0).isrs = [2]
  const stuck = [produce(), produce()]
  const refused = Promise.all(
    stuck.map(one => expect(one).rejects.toThrow(/orders\.dlq-0 has 1 of its 3 replicas in sync.*; start the brokers/)),
  )
  await vi.advanceTimersByTimeAsync(15_000)
  client(0).report(TIMED_OUT)
  await vi.advanceTimersByTimeAsync(10)
  await refused
  expect(clients).toHaveLength(1)
  expect(warnings).toEqual([])

  // And when all of them are in sync, so that nothing explains it, then it is
  client(0).isrs = [1, 2, 3]
  produce().catch(() => {})
  await vi.advanceTimersByTimeAsync(12_000)
  expect(clients).toHaveLength(2)
})

it('is replaced when it hears no broker, although nothing waits for it: nor shall the next record', async () => {
  const { client, clients, producer, produce } = await aProducer()
  client(0).hears = false
  await vi.advanceTimersByTimeAsync(25_000)
  expect(clients).toHaveLength(2)
  expect(client(0).disconnected).toBe(true)
  const asked = producer.partitionCount('orders.dlq')
  const sent = produce()
  await vi.advanceTimersByTimeAsync(10)
  expect([await asked, await sent]).toEqual([1, { partition: 0, offset: 0n }])
})

it('stays as it is while the brokers are away for everybody', async () => {
  const stage = await aProducer()
  stage.reachable = false
  stage.client(0).hears = false
  const waiting = stage.produce()
  await vi.advanceTimersByTimeAsync(120_000)
  expect(stage.clients.length).toBeGreaterThan(5)
  expect(stage.clients.slice(1, -1).every(({ disconnected }) => disconnected)).toBe(true)

  // Back again, it is the old one that acknowledges
  stage.client(0).hears = true
  stage.client(0).report()
  expect(await waiting).toEqual({ partition: 0, offset: 0n })
  expect(stage.client(0).disconnected).toBe(false)
  const tried = stage.clients.length
  stage.reachable = true
  await vi.advanceTimersByTimeAsync(60_000)
  expect(stage.clients.length).toBeLessThanOrEqual(tried + 1)
  expect(stage.warnings).toEqual([])
})

it('is not replaced for having nothing to send, for an hour', async () => {
  const { clients } = await aProducer()
  await vi.advanceTimersByTimeAsync(3_600_000)
  expect(clients).toHaveLength(1)
})

it('lets a new one go that connects only after the close', async () => {
  let closing: Promise<void> | undefined
  const stage = await aProducer(count => {
    if (count < 2) return
    closing = stage.producer.close()
    stage.client(0).report(TIMED_OUT)
  })
  stage.client(0).hears = false
  const waiting = stage.produce().catch(() => undefined)
  await vi.advanceTimersByTimeAsync(20_000)
  await waiting
  await closing
  expect(stage.clients.map(({ disconnected }) => disconnected)).toEqual([true, true])
})

it('takes a record for stored only when the broker has named its offset', async () => {
  const { client, produce } = await aProducer()
  client(0).offset = -1001
  const refused = expect(produce()).rejects.toMatchObject({
    code: 'broker_unavailable',
    disposition: 'retry',
    message: expect.stringContaining('named no offset'),
  })
  await vi.advanceTimersByTimeAsync(10)
  await refused

  client(0).offset = 0
  const stored = produce()
  await vi.advanceTimersByTimeAsync(10)
  expect(await stored).toEqual({ partition: 0, offset: 0n })
})
