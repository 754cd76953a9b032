import type { DeadLetter, DlqPosition } from './dead-letter.ts'
import type { SourceRecord, TopicPartition } from './record.ts'

/** What the engine asks of the world around it. Every port has one contract suite, run on the stand-in and on the real thing. */

/** Time, handed in so that tests own it. */
export interface Clock {
  /** Wall clock in ms: for timestamps that people read. */
  now(): number
  /** Monotonic ms: for durations and deadlines. */
  monotonic(): number
  /** Resolves after `ms`, or at once when the signal aborts (it never rejects). */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** Where a partition goes on. */
export interface Progress extends TopicPartition {
  readonly nextOffset: bigint
}

export interface DeadLetterSink {
  /** Resolves once it is acknowledged by all in-sync replicas. @throws BrokerUnavailableError */
  send(deadLetter: DeadLetter): Promise<DlqPosition>
  /** Could a dead letter be sent now? Asks for the topic's metadata. @throws BrokerUnavailableError */
  probe(): Promise<void>
}

export interface Watermarks {
  readonly low: bigint
  readonly high: bigint
}

/** In the place of an offset to start at: wherever the log ends then. Kafka's own number for that. */
export const LOG_END = -1n

/** What a consumer's group membership brings, in the order in which it happened. */
export type SourceEvent =
  | { readonly kind: 'assigned'; readonly partitions: readonly TopicPartition[] }
  | { readonly kind: 'revoked'; readonly partitions: readonly TopicPartition[]; readonly lost: boolean }
  /**
   * The client has stopped reading a partition without reporting which: its position is not in the log any more, the log was
   * truncated, or a batch cannot be read. Nothing of it flows until a seek.
   */
  | { readonly kind: 'fetch_failed' }

/** Result of a commit, as the broker reported it. */
export type CommitResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: number; readonly message: string }

/**
 * A group consumer, driven by one loop: nothing happens but inside `poll()`. Rebalances wait until they are answered.
 * Everything may be lost within any poll, also while a rebalance is not answered: its answer then has no effect, and what is
 * asked of a lost partition fails or has none either, until the event comes that reports the loss.
 */
export interface RecordSource {
  /** Joins the group. */
  start(): Promise<void>
  /**
   * Up to `max` records; waits at most `timeoutMs` for the first. Also serves heartbeats, commit results and rebalances,
   * so it must go on being called, when all is paused as well. One call at a time.
   * @throws BrokerFatalError when the member cannot go on
   */
  poll(max: number, timeoutMs: number): Promise<SourceRecord[]>
  /** The oldest rebalance that is not answered yet. The loop must answer it before it takes the next. */
  nextEvent(): SourceEvent | undefined
  /** Answers `assigned`: the partitions start at these offsets, or at {@link LOG_END}. */
  assign(positions: readonly Progress[]): void
  /** Answers `revoked`. */
  unassign(partitions: readonly TopicPartition[]): void
  pause(partitions: readonly TopicPartition[]): void
  resume(partitions: readonly TopicPartition[]): void
  /** Moves an owned partition. */
  seek(to: Progress): Promise<void>
  /** Resolves with the broker's own answer, which only arrives while `poll()` is called. Never rejects. */
  commit(positions: readonly Progress[]): Promise<CommitResult>
  /** What the broker holds as committed; absent when nothing. */
  committed(partitions: readonly TopicPartition[]): Promise<Progress[]>
  /** Asks the broker (true while paused, too). @throws BrokerUnavailableError */
  watermarks(partition: TopicPartition): Promise<Watermarks>
  /** The last watermarks that a fetch brought; costs nothing. `undefined` when unknown. */
  cachedWatermarks(partition: TopicPartition): Watermarks | undefined
  /** Leaves the group. Commit before. Safe twice. */
  close(): Promise<void>
}

/** What stands at an offset or after it. */
export type Head =
  /** A record: its timestamp in ms since the epoch, negative when it has none. */
  | { readonly timestampMs: number }
  /**
   * No record up to this offset, now or ever: the partition ends here, or transaction markers and the like stand there. It ends
   * before the first transaction that is open.
   */
  | { readonly emptyTo: bigint }

/** Looks at single records beside the group, without moving anything. */
export interface HeadReader extends AsyncDisposable {
  /** The first record at this offset or after it. @throws BrokerUnavailableError UnreadableBatchError */
  headAt(at: Progress): Promise<Head>
}
