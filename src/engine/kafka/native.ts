// What the native client offers, typed by hand: its own types miss the calls that a careful consumer needs. Some arguments end the
// process instead of throwing (a `null` among headers, an undefined topic configuration): headers are made by `native-records.ts` alone.

export interface NativeTopicPartition {
  readonly topic: string
  readonly partition: number
}

export interface NativePosition extends NativeTopicPartition {
  readonly offset: number
}

export interface NativeError {
  readonly message: string
  readonly code: number
}

export interface NativeRecord extends NativePosition {
  readonly key?: Buffer | null
  readonly value: Buffer | null
  readonly timestamp?: number
  readonly headers?: readonly object[]
  readonly leaderEpoch?: number
}

export interface NativeClient {
  connect(options: { timeout: number }, done: (error: NativeError | null, metadata?: NativeMetadata) => void): void
  disconnect(done: () => void): void
  on(event: string, listener: (...args: never[]) => void): void
  getMetadata(
    options: { topic?: string; allTopics?: boolean; timeout: number },
    done: (error: NativeError | null, metadata: NativeMetadata) => void,
  ): void
  queryWatermarkOffsets(
    topic: string,
    partition: number,
    timeoutMs: number,
    done: (error: NativeError | null, marks: { lowOffset: number; highOffset: number }) => void,
  ): void
}

export interface NativeMetadata {
  readonly brokers: readonly { readonly id: number; readonly host?: string; readonly port?: number }[]
  readonly topics: readonly { readonly name: string; readonly partitions: readonly NativePartition[] }[]
}

export interface NativePartition {
  readonly id: number
  /** Id of a broker; -1: none. */
  readonly leader?: number
  readonly replicas?: readonly number[]
  /** Those of them that are in sync. */
  readonly isrs?: readonly number[]
}

export interface NativeConsumer extends NativeClient {
  subscribe(topics: readonly string[]): void
  /** Without effect where it is not subscribed. */
  unsubscribe(): void
  setDefaultConsumeTimeout(ms: number): void
  setDefaultIsTimeoutOnlyForFirstMessage(only: boolean): void
  consume(max: number, done: (error: NativeError | null, records: NativeRecord[]) => void): void
  /** `offset` of each: a timestamp in ms. Answers the first offset whose record is not older; the end (-1) where there is none. */
  offsetsForTimes(
    wanted: readonly NativePosition[],
    timeoutMs: number,
    done: (
      error: NativeError | null,
      positions: (NativeTopicPartition & { offset?: number; error?: NativeError })[],
    ) => void,
  ): void
  assign(positions: readonly NativePosition[]): void
  unassign(): void
  incrementalAssign(positions: readonly NativePosition[]): void
  incrementalUnassign(partitions: readonly NativeTopicPartition[]): void
  rebalanceProtocol(): 'NONE' | 'EAGER' | 'COOPERATIVE'
  assignmentLost(): boolean
  commit(positions: readonly NativePosition[]): void
  committed(
    partitions: readonly NativeTopicPartition[],
    timeoutMs: number,
    done: (error: NativeError | null, positions: (NativeTopicPartition & { offset?: number })[]) => void,
  ): void
  pause(partitions: readonly NativeTopicPartition[]): void
  resume(partitions: readonly NativeTopicPartition[]): void
  seek(position: NativePosition, timeoutMs: number, done: (error: NativeError | null) => void): void
  getWatermarkOffsets(topic: string, partition: number): { lowOffset: number; highOffset: number }
}

export interface NativeProducer extends NativeClient {
  setPollInBackground(on: boolean): void
  produce(
    topic: string,
    partition: number | null,
    value: Buffer | null,
    key: Buffer | null,
    timestampMs: number | null,
    opaque: unknown,
    headers: readonly object[],
  ): void
}

export interface NativeGroups {
  readonly groups: readonly {
    readonly members: readonly unknown[]
    /** How it assigns partitions; empty without members. */
    readonly protocol?: string
    readonly error?: NativeError
    readonly authorizedOperations?: readonly number[]
  }[]
}

export interface NativeTopic {
  readonly name: string
  readonly topicId: { readonly base64: string }
  readonly partitions: readonly {
    readonly partition: number
    readonly leader: object | null
    readonly replicas: readonly object[]
    readonly isr: readonly object[]
  }[]
  readonly error?: NativeError
  readonly authorizedOperations?: readonly number[]
}

export interface NativeAdmin {
  describeTopics(
    topics: readonly string[],
    options: { includeAuthorizedOperations: boolean; timeout: number },
    done: (error: NativeError | null, result: readonly NativeTopic[]) => void,
  ): void
  describeGroups(
    groups: readonly string[],
    options: { includeAuthorizedOperations: boolean; timeout: number },
    done: (error: NativeError | null, result: NativeGroups) => void,
  ): void
  listConsumerGroupOffsets(
    groups: readonly { readonly groupId: string }[],
    options: { timeout: number },
    done: (error: NativeError | null, result: readonly object[]) => void,
  ): void
  createTopic(topic: object, timeoutMs: number, done: (error: NativeError | null) => void): void
  disconnect(): void
}

export interface ConsumerCallbacks {
  /** -175 assign, -174 revoke; anything else is an error of the rebalance itself. */
  rebalance(error: NativeError, partitions: NativeTopicPartition[]): void
  /** The broker's answer to a commit. */
  committed(error: NativeError | null, positions: NativePosition[]): void
}

/** A native call with a Node callback, as a promise that rejects with the native error. */
export function call<R = void>(start: (done: (error: NativeError | null, result?: R) => void) => void): Promise<R> {
  return new Promise((resolve, reject) => {
    start((error, result) => (error ? reject(error) : resolve(result as R)))
  })
}
