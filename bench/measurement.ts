/** CPU seconds, user and system; undefined where the machine does not report them. */
export interface Cpu {
  readonly client: number | undefined
  readonly postgres: number | undefined
  readonly broker: number | undefined
}

export interface Span {
  readonly seconds: number
  readonly cpu: Cpu
}

/** One contender in one round. */
export interface Measurement extends Span {
  readonly contender: string
  readonly round: number
  readonly ordersPerSecond: number
  /** From the start of the process, with its loading and joining of the group; undefined for the limit. */
  readonly secondsFromStart: number | undefined
  /** CPU of the client from its start on. */
  readonly cpuFromStart: number | undefined
  readonly peakMemoryBytes: number | undefined
  /** Mean size of the transactions: short batches cost PostgreSQL more an order. */
  readonly recordsPerBatch: number
  /** Errors in its result; empty when it is correct. */
  readonly failures: readonly string[]
}

/** @throws RangeError when there is none */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)]
  const lower = sorted[Math.floor((sorted.length - 1) / 2)]
  if (upper === undefined || lower === undefined) throw new RangeError('no values have no median')
  return (lower + upper) / 2
}
