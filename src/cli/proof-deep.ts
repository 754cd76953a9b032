import { openPartitionReader } from '../engine/kafka/partition-reader.ts'
import type { Watermarks } from '../engine/ports.ts'
import { createDeepRows, passedOver } from '../engine/postgres/deep-rows.ts'
import type { createPool } from '../engine/postgres/pool.ts'
import type { Proof } from '../engine/postgres/proof.ts'
import { type DeepProof, type DeepRange, deepProof } from '../engine/proof/deep-proof.ts'
import type { Stream } from '../engine/stream.ts'
import { readRedrives } from '../inbox/postgres/provenance.ts'
import type { Config } from '../settings/config.ts'

/** Counted in offsets, of which some hold no record. */
export type OnDeepRead = (state: { readonly done: number; readonly total: number }) => void

export interface DeepProofParts {
  readonly kafka: Config['kafka']
  readonly stream: Stream
  readonly pool: ReturnType<typeof createPool>
  readonly proof: Proof
  readonly ends: ReadonlyMap<number, Watermarks>
  readonly onRead: OnDeepRead
}

/**
 * Reads the settled part of the topic again, as far as it reaches, and compares it with the rows.
 * @throws BrokerUnavailableError, StoreUnavailableError
 */
export async function proveDeep({ kafka, stream, pool, proof, ends, onRead }: DeepProofParts): Promise<DeepProof> {
  const { topic, groupId } = stream
  const over = await passedOver(pool, topic, groupId)
  const ranges = proof.partitions.flatMap(({ partition, accountedFrom, nextOffset }): DeepRange[] => {
    const { low, high } = ends.get(partition) ?? { low: 0n, high: 0n }
    const from = accountedFrom > low ? accountedFrom : low
    const to = nextOffset < high ? nextOffset : high
    return from < to ? [{ partition, from, to, passedOver: over.get(partition) ?? [] }] : []
  })
  const total = Number(ranges.reduce((sum, { from, to }) => sum + to - from, 0n))
  await using reader = await openPartitionReader({ connection: kafka, topic, groupId })
  return await deepProof({
    stream: stream.name,
    topic,
    ranges,
    read: ({ partition, from, to }) => reader.read(partition, from, to),
    judge: stream.judge,
    toJson: stream.json,
    rows: createDeepRows(pool, stream, claims => readRedrives(pool, stream, claims)),
    onRead: done => onRead({ done, total }),
  })
}
