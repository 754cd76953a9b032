import { runningLifecycle } from '../lifecycle.ts'
import type { CommitResult, Progress, RecordSource, SourceEvent } from '../ports.ts'
import { partitionKey, type SourceRecord, type TopicPartition } from '../record.ts'
import { type KafkaConnection, nativeConsumer } from './client.ts'
import { connect } from './connect.ts'
import { CODE, describe, toConnectError, toStreamError, unreadableBecause, warningText } from './errors.ts'
import { hearsBroker, within } from './hearing.ts'
import { causesOf } from './listening.ts'
import {
  type ConsumerCallbacks,
  call,
  type NativeConsumer,
  type NativeError,
  type NativePosition,
  type NativeTopicPartition,
} from './native.ts'
import { fromNative } from './native-records.ts'
import { CONSUMER_PROPERTIES } from './properties.ts'
import { askCommitted, askWatermarks } from './questions.ts'

export interface ConsumerOptions {
  readonly connection: KafkaConnection
  readonly topic: string
  readonly groupId: string
  /** Something the client complains of that is no failure: brokers that cannot be reached, mostly. */
  readonly onWarning: (message: string) => void
  /** The native client; a test may play it. */
  readonly createClient?: (
    properties: Readonly<Record<string, unknown>>,
    callbacks: ConsumerCallbacks,
  ) => NativeConsumer
}

/** One native client and its membership of the group, from its connection until it is released. What is asked of it while it is one is the port's. */
export interface Member extends Omit<RecordSource, 'start' | 'close'> {
  /** Partitions that it was assigned to read. */
  readonly owned: ReadonlyMap<string, TopicPartition>
  /** @throws BrokerUnavailableError when no broker answers; let it leave then, it would go on complaining. */
  connect(timeoutMs: number): Promise<void>
  /** Joins the group. */
  join(): void
  /** Whether a broker answers this client a simple question. Never rejects. */
  hearsBroker(): Promise<boolean>
  /** Answers what is open, leaves the group and disconnects. What it reports from then on is ignored. */
  leave(): Promise<void>
}

/** How long a question to the broker may take. */
const QUERY_TIMEOUT_MS = 5_000
/** A native poll that takes so much longer than it was given goes on without us; its records come with a later poll. */
const POLL_GRACE_MS = 1_000
/** What a client answers, and is answered, comes in polls; while it leaves, in short ones. */
const LEAVING_POLL_MS = 100
/** A commit that is under way is answered in milliseconds, or its coordinator is not there. */
const COMMIT_ANSWER_MS = 2_000
/** A client that is given up answers its last rebalance in the first poll, usually. */
const ABANDON_MS = 500
/** Such clients are few, and most of them never hear a broker again. */
const HEARD_AGAIN_PAUSE_MS = 30_000

/**
 * @param heard called whenever a broker has answered
 * @param hears whether brokers answer it at present
 */
export function createMember(options: ConsumerOptions, heard: () => void, hears: () => boolean): Member {
  const { connection, topic: subscription } = options
  const events: SourceEvent[] = []
  /** The rebalance that the loop works on: handed out, and not answered yet. */
  let handedOut: SourceEvent | undefined
  const owned = new Map<string, TopicPartition>()
  const paused = new Map<string, TopicPartition>()
  let commitWaiting: ((result: CommitResult) => void) | undefined
  /** The client has not been answered the last commit; who asked for it may have been. */
  let isCommitting = false
  let polling: Promise<SourceRecord[]> | undefined
  let cooperative = true
  const lifecycle = runningLifecycle(leave)

  const createClient = options.createClient ?? ((...rest) => nativeConsumer(connection, ...rest))
  const properties = { ...CONSUMER_PROPERTIES, ...connection.extra, 'group.id': options.groupId }
  const client = createClient(properties, { rebalance: onRebalance, committed: onCommitted })
  client.on('event.error', (error: NativeError) => {
    if (!lifecycle.stopping.aborted) options.onWarning(warningText(client, error))
  })
  // Wait for the first record only; take what is ready after it. Otherwise each record may cost a whole timeout.
  client.setDefaultIsTimeoutOnlyForFirstMessage(true)

  function onHeard(): void {
    causesOf(client)?.heard()
    heard()
  }

  function onRebalance(error: NativeError, partitions: NativeTopicPartition[]): void {
    const mine = partitions.map(({ topic, partition }) => ({ topic, partition }))
    if (error.code === CODE.assignPartitions) {
      // Asked here, because during close the client answers NONE.
      if (!lifecycle.stopping.aborted) cooperative = client.rebalanceProtocol() !== 'EAGER'
      events.push({ kind: 'assigned', partitions: mine })
    } else if (error.code === CODE.revokePartitions) {
      events.push({ kind: 'revoked', partitions: mine, lost: lifecycle.stopping.aborted || client.assignmentLost() })
    } else {
      options.onWarning(`rebalance failed: ${error.message}`)
      events.push({ kind: 'revoked', partitions: [...owned.values()], lost: true })
    }
    // Events are no longer drained: an unanswered rebalance would make the client hang for ever.
    if (lifecycle.stopping.aborted) answerAll()
  }

  function onCommitted(error: NativeError | null, _positions: NativePosition[]): void {
    isCommitting = false
    if (!error) onHeard()
    endCommit(error ? { ok: false, code: error.code, message: error.message } : { ok: true })
  }

  function endCommit(result: CommitResult): void {
    const resolve = commitWaiting
    commitWaiting = undefined
    resolve?.(result)
  }

  function answerAll(): void {
    if (handedOut !== undefined) events.unshift(handedOut)
    for (let event = events.shift(); event !== undefined; event = events.shift()) {
      try {
        if (event.kind === 'assigned') assign([])
        else if (event.kind === 'revoked') unassign(event.partitions)
      } catch (error) {
        // A client that is already disconnecting refuses an answer, and gives it itself. Thrown out of its callback, the
        // refusal would end the process at once, and leave it hanging in the client's exit.
        options.onWarning(`answering a rebalance while leaving: ${describe(error).message}`)
      }
    }
  }

  function assign(positions: readonly Progress[]): void {
    handedOut = undefined
    const list = positions.map(toNative)
    for (const { topic, partition } of positions) owned.set(partitionKey({ topic, partition }), { topic, partition })
    if (cooperative) client.incrementalAssign(list)
    else client.assign(list)
  }

  function unassign(partitions: readonly TopicPartition[]): void {
    handedOut = undefined
    for (const partition of partitions) owned.delete(partitionKey(partition))
    // While it leaves, the client refuses, and nothing will come back to it.
    if (!lifecycle.stopping.aborted) resumePaused(partitions)
    if (cooperative) client.incrementalUnassign(partitions)
    else client.unassign()
  }

  /**
   * Also what is taken away is resumed: the client keeps a pause beyond the assignment that it was made for, and a
   * partition that came back would never be fetched again, without any error.
   */
  function resumePaused(partitions: readonly TopicPartition[]): void {
    const list = partitions.filter(partition => paused.has(partitionKey(partition)))
    if (list.length === 0) return
    client.resume(list)
    for (const partition of list) paused.delete(partitionKey(partition))
  }

  function consume(max: number, timeoutMs: number): Promise<SourceRecord[]> {
    client.setDefaultConsumeTimeout(timeoutMs)
    return new Promise((resolve, reject) => {
      client.consume(max, (error, records) => {
        if (!error) {
          if (records.length > 0) onHeard()
          return resolve(records.map(fromNative))
        }
        if (error.code === CODE.autoOffsetReset || unreadableBecause(error) !== undefined) {
          options.onWarning(`reading: ${error.message} (code ${error.code})`)
          // A damaged batch makes three of them.
          if (events.at(-1)?.kind !== 'fetch_failed') events.push({ kind: 'fetch_failed' })
          return resolve([])
        }
        const translated = toStreamError(error, 'reading', client)
        if (translated.disposition === 'halt') return reject(translated)
        // The client recovers from everything else, or comes back as a rebalance.
        options.onWarning(`reading: ${error.message} (code ${error.code})`)
        return resolve([])
      })
    })
  }

  async function answered<R>(answer: Promise<R>): Promise<R> {
    const result = await answer
    onHeard()
    return result
  }

  async function leave(): Promise<void> {
    endCommit(NOT_A_MEMBER)
    answerAll()
    await pollWhile(() => isCommitting, COMMIT_ANSWER_MS)
    if (isCommitting) return await abandon()
    // A client without partitions closes without telling the group (librdkafka 2.15.1). The group then waits for it until its session ends: a
    // member that joins again meanwhile gets no answer, and behind that question neither its commit nor its own farewell does.
    // A client that no broker answers would wait for the answer to its farewell, and nothing ends that.
    if (owned.size === 0 && hears()) unsubscribe()
    await new Promise<void>(resolve => client.disconnect(resolve))
  }

  /**
   * A disconnect waits for a commit that is under way, and one that cannot be sent is tried without end (librdkafka 2.15.1, rd_kafka_buf_retry): no
   * stream would resume behind it, and no process end, for it holds a thread. So the client gives up what it has, and is disconnected later.
   */
  async function abandon(): Promise<void> {
    options.onWarning(
      'the last commit is not answered: its client is left behind, and closed once it is, or has failed',
    )
    unsubscribe()
    // Its answers to the rebalance that this makes are given inside a poll.
    await pollWhile(() => owned.size > 0, ABANDON_MS)
    void disconnectOnceHeard()
  }

  async function disconnectOnceHeard(): Promise<void> {
    do {
      await new Promise<void>(resolve => setTimeout(resolve, HEARD_AGAIN_PAUSE_MS).unref())
      await pollWhile(() => isCommitting, LEAVING_POLL_MS)
    } while (isCommitting || !(await hearsBroker(client, subscription)))
    client.disconnect(() => {})
  }

  async function pollWhile(waits: () => boolean, boundMs: number): Promise<void> {
    const deadline = performance.now() + boundMs
    while (waits() && performance.now() < deadline) {
      const polled = consume(1, LEAVING_POLL_MS).catch(() => [])
      await within(polled, LEAVING_POLL_MS + POLL_GRACE_MS)
    }
  }

  /** Leaves the group, unless it is to stay a static member. The answer is waited for by the disconnect. */
  function unsubscribe(): void {
    if (connection.extra['group.instance.id'] !== undefined) return
    try {
      client.unsubscribe()
    } catch (error) {
      options.onWarning(`leaving the group: ${describe(error).message}`)
    }
  }

  return {
    owned,
    async connect(timeoutMs) {
      try {
        await connect(client, timeoutMs)
      } catch (error) {
        throw toConnectError(error, connection.brokers, client)
      }
      onHeard()
    },
    join: () => client.subscribe([subscription]),

    async poll(max, timeoutMs) {
      polling ??= consume(max, timeoutMs)
      const records = await within(polling, timeoutMs + POLL_GRACE_MS).catch((error: unknown) => {
        polling = undefined
        throw error
      })
      if (records !== undefined) polling = undefined
      return records ?? []
    },

    nextEvent() {
      const event = events.shift()
      if (event !== undefined && event.kind !== 'fetch_failed') handedOut = event
      return event
    },
    assign,
    unassign,
    pause(partitions) {
      const list = partitions.filter(partition => owned.has(partitionKey(partition)))
      if (list.length === 0) return
      client.pause(list)
      for (const partition of list) paused.set(partitionKey(partition), partition)
    },
    resume: resumePaused,

    async seek(to) {
      const doing = `moving ${partitionKey(to)} to ${to.nextOffset}`
      if (!owned.has(partitionKey(to))) throw toStreamError(new Error('the partition is no longer ours'), doing)
      try {
        await call(done => client.seek(toNative(to), QUERY_TIMEOUT_MS, done))
      } catch (error) {
        // A partition whose reading failed (`fetch_failed`) has no state in which it can be moved: it is assigned once more.
        if (!cooperative || describe(error).code !== CODE.state) throw toStreamError(error, doing, client)
        resumePaused([to])
        client.incrementalUnassign([{ topic: to.topic, partition: to.partition }])
        client.incrementalAssign([toNative(to)])
      }
      onHeard()
    },

    commit(positions) {
      if (commitWaiting !== undefined) throw new Error('one commit at a time')
      // The broker would take it even so, and even backwards.
      if (!positions.every(position => owned.has(partitionKey(position)))) return Promise.resolve(NOT_A_MEMBER)
      return new Promise(resolve => {
        commitWaiting = resolve
        try {
          client.commit(positions.map(toNative))
          isCommitting = true
        } catch (error) {
          const { code, message } = describe(error)
          endCommit({ ok: false, code: code ?? -1, message })
        }
      })
    },

    async committed(partitions) {
      if (partitions.length === 0) return []
      return await answered(askCommitted(client, partitions, QUERY_TIMEOUT_MS))
    },

    watermarks: partition => answered(askWatermarks(client, partition, QUERY_TIMEOUT_MS)),

    cachedWatermarks({ topic, partition }) {
      try {
        const { lowOffset, highOffset } = client.getWatermarkOffsets(topic, partition)
        return lowOffset < 0 || highOffset < 0 ? undefined : { low: BigInt(lowOffset), high: BigInt(highOffset) }
      } catch {
        // The client knows none before its first fetch of the partition.
        return undefined
      }
    },

    hearsBroker: () => hearsBroker(client, subscription),

    leave: lifecycle.stop,
  }
}

const NOT_A_MEMBER: CommitResult = { ok: false, code: CODE.unknownMember, message: 'no member of the group any more' }

function toNative({ topic, partition, nextOffset }: Progress): NativePosition {
  return { topic, partition, offset: Number(nextOffset) }
}
