import { askBroker, int8, int16, int32, text } from './kafka-protocol.ts'

/**
 * The first batches of a partition as they travel, by a Fetch request of our own (version 4): what the native client makes of
 * a record is not asked. The broker must lead the partition.
 */
export async function fetchRaw(brokers: string, topic: string, partition: number): Promise<Buffer> {
  const request = Buffer.concat([
    // Fetch, version 4, correlation 1, client '', no replica, 500 ms for 1 byte, at most 1 MiB, uncommitted ones too
    ...[int16(1), int16(4), int32(1), int16(0), int32(-1), int32(500), int32(1), int32(1_048_576), int8(0)],
    ...[int32(1), text(topic), int32(1), int32(partition), int32(0), int32(0), int32(1_048_576)],
  ])
  return await askBroker(brokers, request)
}

const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

/**
 * How the first of them is compressed: the lowest bits of its attributes.
 * @param answer of {@link fetchRaw}
 */
export function codecOf(answer: Buffer): string {
  // Correlation id, throttle time, one topic by name, one partition: index, error, two offsets, aborted transactions, size.
  const records = 4 + 4 + 4 + 2 + answer.readInt16BE(12) + 4 + 4 + 2 + 8 + 8
  const aborted = Math.max(0, answer.readInt32BE(records))
  const batch = records + 4 + 16 * aborted + 4
  // Base offset, length, leader epoch, magic, CRC.
  const codec = answer.readInt16BE(batch + 8 + 4 + 4 + 1 + 4) & 0b111
  return CODECS[codec] ?? String(codec)
}

/** Records must not be compressed: whether the header of that name holds null, nothing or something: its length follows it, as a zigzag varint. */
export function headerKind(batches: Buffer, name: string): 'null' | 'empty' | 'bytes' {
  const at = batches.indexOf(name)
  if (at === -1) throw new Error(`there is no header ${name}`)
  const length = batches[at + name.length]
  return length === 1 ? 'null' : length === 0 ? 'empty' : 'bytes'
}
