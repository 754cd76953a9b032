import type { ConsumerCallbacks, NativeConsumer, NativeError, NativeRecord } from '#src/engine/kafka/native.ts'

/** A native client under a test's control: whether a broker answers it, what it delivers, which rebalances it reports. */
export interface FakeClient extends NativeConsumer {
  /** Whether a broker answers it. */
  hears: boolean
  /** How many brokers the metadata lists, while one answers. */
  brokers: number
  /** While true, a poll does not come back. */
  hangs: boolean
  /** While true, it never ends disconnecting. */
  clings: boolean
  readonly subscribed: boolean
  readonly disconnected: boolean
  readonly assigned: ReadonlySet<number>
  readonly paused: ReadonlySet<number>
  readonly commits: readonly number[]
  /** Answers the commit that waits. */
  answerCommit(error?: NativeError): void
  give(...partitions: number[]): void
  takeAway(...partitions: number[]): void
  deliver(...offsets: number[]): void
}

export const FAKE_TOPIC = 'orders'

const AWAY: NativeError = { message: 'Local: All broker connections are down', code: -187 }

export function createFakeClient(
  callbacks: ConsumerCallbacks,
  over: { readonly hears: boolean; readonly brokers: number },
): FakeClient {
  const assigned = new Set<number>()
  const paused = new Set<number>()
  const commits: number[] = []
  let records: NativeRecord[] = []
  let consumeTimeoutMs = 0
  let subscribed = false
  let disconnected = false
  /** Rebalances that wait for an answer: until it has come, the native client does not end disconnecting. */
  let unanswered = 0
  const answered = () => {
    unanswered = Math.max(0, unanswered - 1)
  }
  /** It does not end disconnecting before the last commit was answered, either. */
  let isCommitting = false

  /** Calls back as the native client does: asynchronously, and only after the timeout when no broker answers. */
  function answer<R>(done: (error: NativeError | null, result: R) => void, result: R, timeoutMs: number): void {
    const { hears } = client
    setTimeout(() => (hears ? done(null, result) : done(AWAY, result)), hears ? 1 : timeoutMs)
  }
  const toPartitions = (partitions: number[]) => partitions.map(partition => ({ topic: FAKE_TOPIC, partition }))
  const metadata = () => ({ brokers: Array.from({ length: client.brokers }, (_, id) => ({ id })), topics: [] })

  const client: FakeClient = {
    hears: over.hears,
    brokers: over.brokers,
    hangs: false,
    clings: false,
    assigned,
    paused,
    commits,
    get subscribed() {
      return subscribed
    },
    get disconnected() {
      return disconnected
    },
    answerCommit(error) {
      isCommitting = false
      callbacks.committed(error ?? null, [])
    },
    give(...partitions) {
      unanswered += 1
      callbacks.rebalance({ message: 'assign', code: -175 }, toPartitions(partitions))
    },
    takeAway(...partitions) {
      unanswered += 1
      callbacks.rebalance({ message: 'revoke', code: -174 }, toPartitions(partitions))
    },
    deliver: (...offsets) => {
      records.push(...offsets.map(offset => ({ topic: FAKE_TOPIC, partition: 0, offset, value: null })))
    },

    connect: ({ timeout }, done) => answer(done, metadata(), timeout),
    disconnect: done => {
      disconnected = true
      setTimeout(function end() {
        if (client.clings) return
        if (unanswered === 0 && !isCommitting) done()
        else setTimeout(end, 100)
      }, 1)
    },
    on: () => {},
    getMetadata: ({ timeout }, done) => answer(done, metadata(), timeout),
    queryWatermarkOffsets: (_topic, _partition, timeoutMs, done) =>
      answer(done, { lowOffset: 0, highOffset: 9 }, timeoutMs),
    subscribe: () => {
      subscribed = true
    },
    unsubscribe: () => {
      subscribed = false
    },
    setDefaultConsumeTimeout: ms => {
      consumeTimeoutMs = ms
    },
    setDefaultIsTimeoutOnlyForFirstMessage: () => {},
    consume: (_max, done) => {
      setTimeout(
        function deliver() {
          if (client.hangs) return void setTimeout(deliver, 1_000)
          // A rebalance is reported in a poll.
          if (!subscribed && assigned.size > 0 && unanswered === 0) client.takeAway(...assigned)
          const ready = records
          records = []
          done(null, ready)
        },
        records.length > 0 ? 1 : consumeTimeoutMs,
      )
    },
    assign: () => {},
    unassign: () => assigned.clear(),
    incrementalAssign: positions => {
      answered()
      for (const { partition } of positions) assigned.add(partition)
    },
    incrementalUnassign: partitions => {
      answered()
      for (const { partition } of partitions) assigned.delete(partition)
    },
    rebalanceProtocol: () => 'COOPERATIVE',
    assignmentLost: () => false,
    commit: positions => {
      isCommitting = true
      commits.push(...positions.map(({ offset }) => offset))
    },
    committed: (partitions, timeoutMs, done) => answer(done, [...partitions], timeoutMs),
    pause: partitions => {
      for (const { partition } of partitions) paused.add(partition)
    },
    resume: partitions => {
      for (const { partition } of partitions) paused.delete(partition)
    },
    seek: (_position, timeoutMs, done) => answer(error => done(error), undefined, timeoutMs),
    offsetsForTimes: (_wanted, _timeoutMs, done) => done(null, []),
    getWatermarkOffsets: () => ({ lowOffset: -1, highOffset: -1 }),
  }
  return client
}
