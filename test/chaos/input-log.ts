import type { KafkaInspector } from '#src/engine/kafka/inspector.ts'
import type { SourceRecord } from '#src/engine/record.ts'
import type { Verdicts } from './invariants.ts'
import { digestOf, type Load, sequenceOf } from './load.ts'

/** What really stands in the topic, whatever was acknowledged: the truth that everything else is held against. */
export interface InputLog {
  readonly records: number
  /** By partition. */
  readonly ends: ReadonlyMap<number, bigint>
  /** The record whose value must be stored, for each key. */
  readonly newest: ReadonlyMap<string, Newest>
  /** Those that must be dead letters, by id (`topic-partition-offset`). */
  readonly invalid: ReadonlyMap<string, SourceRecord>
}

export interface Newest {
  readonly sequence: number
  readonly partition: number
  readonly offset: bigint
}

/** Also finds what the broker or this harness lost or invented: then no verdict about the service would be worth anything. */
export async function readInput(
  inspector: KafkaInspector,
  topic: string,
  load: Load,
  verdicts: Verdicts,
): Promise<InputLog> {
  const ends = new Map<number, bigint>()
  const newest = new Map<string, Newest>()
  const invalid = new Map<string, SourceRecord>()
  const places = new Map<number, string>()
  let records = 0
  for await (const record of inspector.read(topic)) {
    const { partition, offset } = record
    records++
    ends.set(partition, offset + 1n)
    const sequence = sequenceOf(record) ?? -1
    const sent = load.sent[sequence]
    verdicts.checked('I1')
    if (sent === undefined || sent.digest !== digestOf(record.key, record.value)) {
      verdicts.violated('I2', `${topic}-${partition}-${offset} holds a record that was not produced (harness)`)
      continue
    }
    places.set(sequence, `${partition}-${offset}`)
    // Offsets ascend within a partition, and a key keeps its partition: the last one seen is the newest.
    if (sent.key !== null) newest.set(sent.key, { sequence, partition, offset })
    else invalid.set(`${topic}-${partition}-${offset}`, record)
  }
  for (const [sequence, { at }] of load.sent.entries()) {
    if (at !== undefined && places.get(sequence) !== `${at.partition}-${at.offset}`)
      verdicts.violated(
        'I1',
        `record ${sequence} of ${topic} was acknowledged at ${at.partition}-${at.offset} and is not there`,
      )
  }
  return { records, ends, newest, invalid }
}
