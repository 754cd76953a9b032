import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { createConsumer } from '#src/engine/kafka/consumer.ts'
import type { RecordSource, SourceEvent } from '#src/engine/ports.ts'
import { createFakeClient, FAKE_TOPIC, type FakeClient } from '../../../support/fake-native-consumer.ts'

/** What a consumer does about a native client that does not find its brokers again. The clients and the time are played. */

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const at = (partition: number, nextOffset = 0n) => ({ topic: FAKE_TOPIC, partition, nextOffset })
const lostOf = (...partitions: number[]): SourceEvent => ({
  kind: 'revoked',
  partitions: partitions.map(partition => ({ topic: FAKE_TOPIC, partition })),
  lost: true,
})

interface Stage {
  readonly source: RecordSource
  /** Every client that was made, in order. */
  readonly clients: readonly FakeClient[]
  readonly warnings: readonly string[]
  /** Whether a client that is made from now on hears a broker, and of how many it is told. */
  reachable: boolean
  brokers: number
  client(index: number): FakeClient
  /** Polls for so long; events are left to the test. */
  poll(ms: number): Promise<void>
}

const aMember = (...partitions: number[]) => aMemberWith({}, ...partitions)

async function aMemberWith(extra: Readonly<Record<string, string>>, ...partitions: number[]): Promise<Stage> {
  const clients: FakeClient[] = []
  const warnings: string[] = []
  const source = createConsumer({
    connection: { brokers: ['kafka:9092'], security: {}, extra },
    topic: FAKE_TOPIC,
    groupId: 'group',
    onWarning: text => warnings.push(text),
    createClient(_properties, callbacks) {
      const client = createFakeClient(callbacks, { hears: stage.reachable, brokers: stage.brokers })
      clients.push(client)
      return client
    },
  })
  const stage: Stage = {
    source,
    clients,
    warnings,
    reachable: true,
    brokers: 1,
    client(index) {
      const client = clients[index]
      if (client === undefined) throw new Error(`there is no client ${index}`)
      return client
    },
    async poll(ms) {
      for (const end = performance.now() + ms; performance.now() < end; ) await soon(source.poll(10, 100))
    },
  }
  await soon(source.start())
  stage.client(0).give(...partitions)
  await stage.poll(100)
  expect(source.nextEvent()).toMatchObject({ kind: 'assigned' })
  source.assign(partitions.map(partition => at(partition)))
  return stage
}

/** Lets time pass until the promise comes to something. */
async function soon<R>(promise: Promise<R>): Promise<R> {
  let done = false
  const finish = () => {
    done = true
  }
  promise.then(finish, finish)
  while (!done) await vi.advanceTimersByTimeAsync(50)
  return await promise
}

it('is replaced when it hears nothing while another one does; to the loop, its partitions are lost', async () => {
  // Given a member with two partitions, one of them paused, and a commit under way
  const { source, client, clients, poll, warnings } = await aMember(0, 1)
  source.pause([at(1)])
  const commit = source.commit([at(0, 5n)])

  // When its client hears no broker any more
  client(0).hears = false
  await poll(12_000)
  expect(clients).toHaveLength(1)
  await poll(20_000)

  // Then it is let go, its partitions are lost, its commit has failed
  expect(clients).toHaveLength(2)
  expect(client(0)).toMatchObject({ subscribed: false })
  expect(await commit).toMatchObject({ ok: false })
  expect(warnings).toEqual([
    expect.stringContaining('replaced by a new one'),
    expect.stringContaining('its client is left behind'),
  ])
  expect(source.nextEvent()).toEqual(lostOf(0, 1))
  source.unassign([at(0), at(1)])
  expect(source.nextEvent()).toBeUndefined()

  // And the new one is a member like any other, without a trace of the old one's pauses
  expect(client(1).subscribed).toBe(true)
  client(1).give(0, 1)
  expect(source.nextEvent()).toMatchObject({ kind: 'assigned' })
  source.assign([at(0), at(1)])
  expect([...client(1).assigned]).toEqual([0, 1])
  expect([...client(1).paused]).toEqual([])
  client(1).deliver(7)
  expect(await soon(source.poll(10, 100))).toMatchObject([{ offset: 7n }])
  await poll(60_000)
  expect(clients).toHaveLength(2)
  await soon(source.close())
})

it('is deaf to what the old client still says, and its answers never reach the new one', async () => {
  // Given a member that was told of one more partition, and has not answered yet when its client is replaced
  const { source, client, clients, poll } = await aMember(0)
  client(0).give(1)
  expect(source.nextEvent()).toMatchObject({ kind: 'assigned', partitions: [{ partition: 1 }] })
  client(0).hears = false
  await poll(25_000)
  expect(clients).toHaveLength(2)

  // When it answers, then that goes nowhere; what it was about to read is lost as well
  source.assign([at(1)])
  client(0).takeAway(0)
  client(0).give(2)
  expect(client(1).assigned.size).toBe(0)
  expect(source.nextEvent()).toEqual(lostOf(0, 1))
  client(1).give(0)
  source.unassign([at(0), at(1)])

  // And the first that it hears thereafter is what the new one says
  expect(source.nextEvent()).toMatchObject({ kind: 'assigned', partitions: [{ partition: 0 }] })
  source.assign([at(0)])
  expect([...client(1).assigned]).toEqual([0])
  expect(source.nextEvent()).toBeUndefined()
  await soon(source.close())
})

it('does not touch partitions on a client that does not have them', async () => {
  const { source, client, poll } = await aMember(0)
  client(0).hears = false
  await poll(25_000)

  // The loop does not know yet: what it asks for its partitions is no longer for anybody
  source.pause([at(0)])
  expect([...client(1).paused]).toEqual([])
  expect(await source.commit([at(0, 3n)])).toMatchObject({ ok: false })
  expect(client(1).commits).toEqual([])
  await expect(source.seek(at(0))).rejects.toMatchObject({ code: 'broker_unavailable' })
  await soon(source.close())
})

it('stays as it is while the brokers are away for everybody, and goes on when they come back', async () => {
  // Given an outage of ten minutes
  const stage = await aMember(0)
  const { source, client, clients, poll } = stage
  stage.reachable = false
  client(0).hears = false
  await poll(600_000)

  // Then it looked for a better one now and then, and let each of them go
  expect(clients.length).toBeGreaterThan(10)
  expect(clients.length).toBeLessThan(100)
  expect(clients.slice(1).every(({ disconnected, subscribed }) => disconnected && !subscribed)).toBe(true)
  expect(client(0).disconnected).toBe(false)

  // And it is still the member when it hears again, which is the end of the search
  client(0).hears = true
  stage.reachable = true
  await poll(5_000)
  const tried = clients.length
  await poll(120_000)
  expect(clients).toHaveLength(tried)
  expect(client(0).disconnected).toBe(false)
  expect(source.nextEvent()).toBeUndefined()
  await soon(source.close())
})

it('is not replaced for having nothing to do: a standby without partitions, for an hour', async () => {
  const { clients, poll, source } = await aMember()
  await poll(3_600_000)
  expect(clients).toHaveLength(1)
  await soon(source.close())
})

it('is not replaced for the time that its process was frozen', async () => {
  const { clients, poll, source } = await aMember(0)
  await vi.advanceTimersByTimeAsync(60_000)
  await poll(5_000)
  expect(clients).toHaveLength(1)
  await soon(source.close())
})

it('does not fall for a broker that says that there is no broker', async () => {
  const stage = await aMember(0)
  stage.client(0).brokers = 0
  stage.brokers = 0
  await stage.poll(40_000)
  expect(stage.clients.length).toBeGreaterThan(1)
  expect(stage.client(0).disconnected).toBe(false)
  await soon(stage.source.close())
})

it('is replaced although its poll never comes back, and its disconnect does not either', async () => {
  const { clients, client, poll, source } = await aMember(0)
  client(0).hears = false
  client(0).hangs = true
  client(0).clings = true
  await poll(40_000)
  expect(clients).toHaveLength(2)
  client(1).give(0)
  client(1).deliver(1)
  expect(await soon(source.poll(10, 100))).toHaveLength(1)
})

it('keeps the records of a poll that came back late', async () => {
  const { client, poll, source } = await aMember(0)
  client(0).hangs = true
  client(0).deliver(4, 5)
  await poll(3_000)
  client(0).hangs = false
  // The native client answers its oldest question first
  await vi.advanceTimersByTimeAsync(1_000)
  const late = []
  for (let i = 0; i < 5; i++) late.push(...(await soon(source.poll(10, 100))))
  expect(late).toMatchObject([{ offset: 4n }, { offset: 5n }])
  await soon(source.close())
})

it('closes while it looks for a better client, and lets that one go as well', async () => {
  const stage = await aMember(0)
  stage.client(0).hears = false
  while (stage.clients.length < 2) await stage.poll(500)
  await soon(stage.source.close())
  expect(stage.clients.map(({ disconnected }) => disconnected)).toEqual([true, true])
  expect(stage.client(1).subscribed).toBe(false)
})

it('without partitions, tells the group that it leaves; not through a client that hears nobody, which would wait for the answer', async () => {
  const { source, client, clients, poll } = await aMember()
  client(0).hears = false
  await poll(25_000)
  expect(clients).toHaveLength(2)
  expect(client(0)).toMatchObject({ disconnected: true, subscribed: true })

  await soon(source.close())
  expect(client(1)).toMatchObject({ disconnected: true, subscribed: false })
})

it('with a commit that reaches no broker, closes without its client, which leaves the group and goes once it is heard again', async () => {
  // Given a member whose commit waits for brokers that are away
  const { source, client } = await aMember(0)
  client(0).hears = false
  const commit = source.commit([at(0, 5n)])

  // When it is closed, then its client is not waited for, and has given up its subscription
  await soon(source.close())
  expect(await commit).toMatchObject({ ok: false })
  expect(client(0)).toMatchObject({ disconnected: false, subscribed: false, assigned: new Set() })

  // And it is disconnected when a broker answers it
  await vi.advanceTimersByTimeAsync(120_000)
  expect(client(0).disconnected).toBe(false)
  client(0).hears = true
  client(0).answerCommit()
  await vi.advanceTimersByTimeAsync(60_000)
  expect(client(0).disconnected).toBe(true)
})

it('with a commit that its coordinator does not answer, closes without its client, although other brokers answer it', async () => {
  const { source, client } = await aMember(0)
  void source.commit([at(0, 5n)])
  await soon(source.close())
  expect(client(0)).toMatchObject({ disconnected: false, subscribed: false, assigned: new Set() })

  // A disconnect would wait for the commit, and hold a thread that the end of the process waits for.
  await vi.advanceTimersByTimeAsync(120_000)
  expect(client(0).disconnected).toBe(false)
  client(0).answerCommit({ message: 'Local: Timed out', code: -185 })
  await vi.advanceTimersByTimeAsync(60_000)
  expect(client(0).disconnected).toBe(true)
})

it('waits for a commit that is answered a little later, and leaves no client behind', async () => {
  const { source, client } = await aMember(0)
  void source.commit([at(0, 5n)])
  setTimeout(() => client(0).answerCommit(), 1_000)
  const closing = performance.now()
  await soon(source.close())
  expect(performance.now() - closing).toBeLessThan(1_500)
  expect(client(0).disconnected).toBe(true)
})

it('leaves a commit without an answer behind as a static member, too, and stays one', async () => {
  const { source, client } = await aMemberWith({ 'group.instance.id': 'one' }, 0)
  void source.commit([at(0, 5n)])
  await soon(source.close())
  expect(client(0)).toMatchObject({ disconnected: false, subscribed: true })
})

it('joins no group when it is closed while it connects, and leaves no client behind', async () => {
  const clients: FakeClient[] = []
  const source = createConsumer({
    connection: { brokers: ['kafka:9092'], security: {}, extra: {} },
    topic: FAKE_TOPIC,
    groupId: 'group',
    onWarning: () => {},
    createClient(_properties, callbacks) {
      const client = createFakeClient(callbacks, { hears: true, brokers: 1 })
      clients.push(client)
      return client
    },
  })
  const started = source.start().then(
    () => 'started',
    (error: Error) => error.name,
  )

  await soon(source.close())

  expect(await soon(started)).toBe('StoppedError')
  expect(clients.map(({ disconnected }) => disconnected)).toEqual([true])
  await soon(expect(source.start()).rejects.toThrow('the consumer is closed'))
})
