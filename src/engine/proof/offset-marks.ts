/** What a reading of a topic found at an offset. A later mark never lowers an earlier one. */
export const MARK = { nothing: 0, record: 1, valid: 2, compared: 3 } as const
export type Mark = (typeof MARK)[keyof typeof MARK]

/** Offsets a chunk: chunks are made when their first offset is marked. */
const CHUNK = 65_536
const PER_BYTE = 4

/** Two bits for each offset of a range: a quarter of a megabyte for a million offsets. */
export interface OffsetMarks {
  /** Outside of the range it does nothing. */
  set(offset: bigint, mark: Mark): void
  /** `undefined` outside of the range. */
  get(offset: bigint): Mark | undefined
  /** Whether the offset is marked as compared. Once: it counts as merely valid from then on. */
  take(offset: bigint): boolean
}

/** @param from first offset of the range; `to` is the first beyond it */
export function createOffsetMarks(from: bigint, to: bigint): OffsetMarks {
  const chunks = new Map<number, Uint8Array>()

  function get(offset: bigint): Mark | undefined {
    if (offset < from || offset >= to) return undefined
    const { chunk, byte, shift } = placeOf(offset)
    return (((chunks.get(chunk)?.[byte] ?? 0) >> shift) & 3) as Mark
  }

  function placeOf(offset: bigint) {
    const index = Number(offset - from)
    const inChunk = index % CHUNK
    return { chunk: Math.floor(index / CHUNK), byte: Math.floor(inChunk / PER_BYTE), shift: (inChunk % PER_BYTE) * 2 }
  }

  function put(offset: bigint, mark: Mark): void {
    const { chunk, byte, shift } = placeOf(offset)
    const bytes = chunks.get(chunk) ?? new Uint8Array(CHUNK / PER_BYTE)
    chunks.set(chunk, bytes)
    bytes[byte] = ((bytes[byte] ?? 0) & ~(3 << shift)) | (mark << shift)
  }

  return {
    get,
    set(offset, mark) {
      const known = get(offset)
      if (known !== undefined && known < mark) put(offset, mark)
    },
    take(offset) {
      if (get(offset) !== MARK.compared) return false
      put(offset, MARK.valid)
      return true
    },
  }
}
