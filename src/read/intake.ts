import type { Origin } from '../engine/record.ts'
import type { Verdict } from '../engine/verdict.ts'

/** How a value enters the stream through the API: judged as a record is, then published as one. */
export interface Intake {
  /** A value of more bytes is not even read. */
  readonly maxBytes: number
  judge(value: Buffer): Verdict<unknown>
  /**
   * Resolves once all in-sync replicas have it, with where it stands. When it rejects, the record may have arrived all
   * the same (its acknowledgement was lost): publishing it again is safe, because a value is a full snapshot.
   * @throws BrokerUnavailableError; RecordTooLargeError when the topic takes no record of this size
   */
  publish(key: string, value: Buffer): Promise<Origin>
}
