import type { Reason } from './dead-letter.ts'

/** An entry of the dead-letter index, as the answer to a lookup by key. It holds no payload data. */
export interface DeadLetterHint {
  /** `topic-partition-offset` of where the record first stood. */
  readonly id: string
  readonly reason: Reason
  readonly error: string
  readonly pointer: string
}

/** A dead letter of a key, settled or not, and what happened to it. It holds no payload data. */
export interface LetterOfKey extends DeadLetterHint {
  readonly state: string
  /** RFC 3339. */
  readonly failed_at: string
  /** Oldest first, of the latest twenty. */
  readonly events: readonly {
    readonly at: string
    readonly what: string
    readonly who: string | null
    /** The redrive by which it happened. */
    readonly redrive: string | null
  }[]
}

export interface DeadLetterIndex {
  /** The latest one of this key that is not settled yet. @throws StoreUnavailableError */
  ofKey(key: string): Promise<DeadLetterHint | undefined>
  /** The latest twenty of this key, latest failure first. @throws StoreUnavailableError */
  allOfKey(key: string): Promise<readonly LetterOfKey[]>
}
