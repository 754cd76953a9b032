import type { Reason } from './dead-letter.ts'

/** An entry of the dead-letter index, as the answer to a lookup by key. It holds no payload data. */
export interface DeadLetterHint {
  /** `topic-partition-offset` of where the record first stood. */
  readonly id: string
  readonly reason: Reason
  readonly error: string
  readonly pointer: string
}

export interface DeadLetterIndex {
  /** The latest one of this key that is not settled yet. @throws StoreUnavailableError */
  ofKey(key: string): Promise<DeadLetterHint | undefined>
}
