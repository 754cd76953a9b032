/**
 * Where a scan works: buffers of fixed size, made once for the process and used by all streams in turn, because a scan runs from its
 * beginning to its end without waiting. Fixed, so that V8 knows their addresses; pages that no record has touched take no memory.
 *
 * A value is described by frames on the tape, the root's at 0 and one for each entry of an array. A frame has two cells for each place in
 * it, at the offsets that `places.ts` gives:
 *
 * | place | first cell | second cell |
 * | --- | --- | --- |
 * | text, number, boolean | where it begins in `input` (a text: after its quote) | where it ends; of a text with escapes `-n`: it is `texts[n - 1]` |
 * | object | where it begins | |
 * | array | the frame of its first entry, 1 if it has none | how many entries it has |
 *
 * The first cell is 0 where the place is absent, and {@link NULL} where it is `null`. Cell 0 of an entry's frame is the next entry's frame.
 */
export interface Memory {
  /** The record, followed by a NUL: no byte of JSON outside of texts, so that no scan runs past it. */
  readonly input: Buffer
  readonly inputView: DataView
  readonly tape: Int32Array
  /**
   * Beside the tape: the number; 1 or 0 of a boolean; of an instant the second since the Unix epoch, and in the cell behind it the
   * microsecond; of a date the days since 2000-01-01.
   */
  readonly numbers: Float64Array
  /** Texts that had escapes, without them. */
  readonly texts: string[]
  /** What is made of the value. */
  readonly output: Buffer
  readonly outputView: DataView
}

export const NULL = -1

/** The largest record that is scanned. */
export const MAX_INPUT = 1 << 18
const TAPE_CELLS = 1 << 18
/** Behind the input: texts are compared and copied four bytes at a time. */
const SLACK = 64

/** Frames that end behind this do not fit. */
export const TAPE_END = TAPE_CELLS

let memory: Memory | undefined

export function sharedMemory(): Memory {
  memory ??= allocate()
  return memory
}

function allocate(): Memory {
  const input = Buffer.allocUnsafeSlow(MAX_INPUT + SLACK)
  const output = Buffer.allocUnsafeSlow(8 * MAX_INPUT)
  return {
    input,
    inputView: viewOf(input),
    tape: new Int32Array(TAPE_CELLS),
    numbers: new Float64Array(TAPE_CELLS),
    texts: [],
    output,
    outputView: viewOf(output),
  }
}

/** Up to here a loop is cheaper than a call. */
const LOOP_BYTES = 96

/** Copies a piece of the input to the output. @returns the place behind it */
export type CopyInput = (to: number, start: number, end: number) => number

export function createCopyInput({ input, inputView, output, outputView }: Memory): CopyInput {
  return (to, start, end) => {
    const bytes = end - start
    if (bytes > LOOP_BYTES) return to + input.copy(output, to, start, end)
    // Four at a time: what is written beyond the end is written over by what follows.
    for (let i = 0; i < bytes; i += 4) outputView.setInt32(to + i, inputView.getInt32(start + i))
    return to + bytes
  }
}

function viewOf({ buffer, byteOffset, byteLength }: Buffer): DataView {
  return new DataView(buffer, byteOffset, byteLength)
}
