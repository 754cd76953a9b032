import { HEADER, headerText } from '../engine/headers.ts'
import type { KafkaInspector } from '../engine/kafka/inspector.ts'
import type { Watermarks } from '../engine/ports.ts'
import type { Finding, IndexedLetter, Proof } from '../engine/postgres/proof.ts'

/** The broker's half of the proof: offsets and records in Kafka, compared with progress, ledger and index. */

export function commitsAhead(proof: Proof, committed: ReadonlyMap<number, bigint>): Finding[] {
  const progress = new Map(proof.partitions.map(({ partition, nextOffset }) => [partition, nextOffset]))
  return [...committed].flatMap(([partition, offset]) => {
    const settled = progress.get(partition)
    if (settled !== undefined && offset <= settled) return []
    return [{ partition, offset, what: `Kafka holds ${offset} as committed, but progress is ${settled ?? 'unknown'}` }]
  })
}

/** Progress in a deleted topic does not apply to the topic that has its name now. */
export function inAnotherTopic(proof: Proof, topicId: string | undefined): Finding[] {
  return proof.partitions.flatMap(({ partition, nextOffset, topicId: counted }) => {
    if (!isAnother(counted, topicId)) return []
    const what = `progress counts in a topic that was deleted (id ${counted}); what has its name now is another one (id ${topicId})`
    return [{ partition, offset: nextOffset, what }]
  })
}

/**
 * Offsets that the topic holds and that lie before all that was ever consumed or skipped, and progress beyond the topic's
 * end; in a topic that is another one now, neither says anything. The watermarks must be younger than the proof: then a service
 * that runs meanwhile cannot cause a finding.
 */
export function outsideOfTopic(
  proof: Proof,
  topicId: string | undefined,
  watermarks: ReadonlyMap<number, Watermarks>,
): Finding[] {
  return proof.partitions.flatMap(({ partition, accountedFrom, nextOffset, topicId: counted }) => {
    const marks = watermarks.get(partition)
    if (marks === undefined || isAnother(counted, topicId)) return []
    const findings: Finding[] = []
    if (accountedFrom > marks.low) {
      const range = `[${marks.low}, ${accountedFrom})`
      findings.push({
        partition,
        offset: marks.low,
        what: `the offsets ${range} are in the topic, were never consumed, and no ledger row says why; "holdfast seek --partition ${partition} --to ${marks.low}" reads them`,
      })
    }
    if (nextOffset > marks.high) {
      const what = `progress is at ${nextOffset}, but the partition ends at ${marks.high}: the log was cut, the topic was recreated, or this is another cluster`
      findings.push({ partition, offset: nextOffset, what })
    }
    return findings
  })
}

/** Where one of the ids is not known, they count as the same. */
function isAnother(counted: string | undefined, now: string | undefined): boolean {
  return counted !== undefined && now !== undefined && counted !== now
}

/**
 * Dead letters of the index that the topic does not hold. Where retention has taken a part of the DLQ topic, the index is
 * the only witness left: a dead letter below the low watermark of *its* DLQ partition is not missing. The index says which partition
 * that is: the number of DLQ partitions may have grown since. Where the index does not know, any shortened one excuses it.
 * @param from where to begin in each DLQ partition: `indexed` are only those that stand there
 */
export async function missingDeadLetters(
  inspector: Pick<KafkaInspector, 'read' | 'partitions' | 'watermarks'>,
  topic: string,
  indexed: ReadonlyMap<string, IndexedLetter>,
  from?: ReadonlyMap<number, bigint>,
): Promise<Finding[]> {
  const wanted = new Map(indexed)
  for await (const record of inspector.read(topic, from)) wanted.delete(headerText(record, HEADER.id) ?? '')
  if (wanted.size === 0) return []
  // Read after the records: what retention removed meanwhile was not read.
  const low = new Map<number, bigint>()
  for (const partition of await inspector.partitions(topic)) {
    low.set(partition.partition, (await inspector.watermarks(partition)).low)
  }
  const shortened = [...low.values()].some(offset => offset > 0n)
  return [...wanted.values()].flatMap(({ id, partition, offset, dlq }) => {
    if (dlq === undefined ? shortened : dlq.offset < (low.get(dlq.partition) ?? 0n)) return []
    return [{ partition, offset, what: `the dead letter ${id} is in the index, but not in the topic ${topic}` }]
  })
}
