import { LogTruncatedError } from '../errors.ts'
import { partitionKey, type SourceRecord } from '../record.ts'
import type { LastRead } from '../settlement.ts'

/**
 * Whether the log still holds what was settled. Reading begins at the last settled record: one at the same offset with the same
 * leader epoch is the same record, and so is all before it. Another epoch there means that a broker lost the end of its log (an
 * unclean election, a lost disk) and took new records in its place.
 * @param record the first one at `last.offset` or after it
 * @returns the error that halts the partition; `undefined` when there is no gap, or none can be proven: compaction or retention may
 *   have removed the record, and brokers before Kafka 0.11 give no epoch
 */
export function contradiction(last: LastRead, record: SourceRecord): LogTruncatedError | undefined {
  const { leaderEpoch } = record
  if (leaderEpoch === undefined) return undefined
  const same = record.offset === last.offset ? leaderEpoch === last.leaderEpoch : leaderEpoch >= last.leaderEpoch
  if (same) return undefined
  return new LogTruncatedError(
    `${partitionKey(record)}: the log has lost records that were settled, and holds others in their place: the record at offset ` +
      `${record.offset} has leader epoch ${leaderEpoch}, and the one that was settled at offset ${last.offset} had ${last.leaderEpoch}. ` +
      `A broker without the newest records was probably elected leader (unclean.leader.election.enable). Read the partition again ` +
      `from before that, which is harmless: holdfast seek --partition ${record.partition} --to earliest|OFFSET --because "…"`,
  )
}
