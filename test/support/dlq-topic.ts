import type { DeadLetter } from '#src/engine/dead-letter.ts'
import type { Header, SourceRecord } from '#src/engine/record.ts'
import { toDeadLetterRecord } from '#src/inbox/record.ts'
import type { DlqTopic } from '#src/inbox/reindex-rules.ts'

/** A dead-letter topic in memory. */
export interface MemoryDlq extends DlqTopic {
  readonly topic: string
  /** Sets it aside, on the partition of its number modulo the partitions. @returns it, with its position */
  send(letter: DeadLetter): DeadLetter
  /** What another program writes. */
  put(partition: number, record: { value: string | null; headers: readonly Header[]; timestampMs?: number }): void
  /** Recreates the topic: the records that `keep` accepts get new positions. */
  remake(keep: (record: SourceRecord) => boolean): void
}

export function createMemoryDlq(partitions = 2, topic = 'orders.dlq'): MemoryDlq {
  let logs = Array.from({ length: partitions }, (): SourceRecord[] => [])

  function append(partition: number, fields: Omit<SourceRecord, 'topic' | 'partition' | 'offset'>): SourceRecord {
    const log = logs[partition] ?? []
    const record = { ...fields, topic, partition, offset: BigInt(log.length) }
    log.push(record)
    return record
  }

  return {
    topic,
    send(letter) {
      const { partition, offset } = append(letter.origin.partition % partitions, toDeadLetterRecord(letter))
      return { ...letter, dlq: { partition, offset } }
    },
    put(partition, { value, headers, timestampMs = 1_760_000_000_000 }) {
      append(partition, { key: null, value: value === null ? null : Buffer.from(value), headers, timestampMs })
    },
    remake(keep) {
      const kept = logs.flat().filter(keep)
      logs = Array.from({ length: partitions }, () => [])
      for (const record of kept) append(record.partition, record)
    },
    partitions: async () => logs.map((_, partition) => partition),
    watermarks: async partition => ({ low: 0n, high: BigInt(logs[partition]?.length ?? 0) }),
    async *read(partition, from, to) {
      yield* (logs[partition] ?? []).filter(({ offset }) => offset >= from && offset < to)
    },
  }
}
