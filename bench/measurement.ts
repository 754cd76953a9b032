/** CPU seconds, user and system; undefined where the machine does not report them. */
export interface Cpu {
  readonly client: number | undefined
  readonly postgres: number | undefined
  readonly broker: number | undefined
}

export interface Span {
  readonly seconds: number
  /** Records of the topic that were worked off in that time. */
  readonly orders: number
  readonly cpu: Cpu
}

/** What a contender has done in its turn. */
export interface Work extends Span {
  readonly contender: string
  /** Records of its whole turn, where the span is only a part of it. */
  readonly ordersOfTurn?: number
  /** Whether it is a program of others, whose errors are no failure of ours. */
  readonly rival?: boolean
  /** From the start of the process, with its loading and joining of the group; undefined for the limits. */
  readonly secondsFromStart?: number | undefined
  /** CPU of the client from its start on. */
  readonly cpuFromStart?: number | undefined
  readonly peakMemoryBytes?: number | undefined
  /** Mean size of the transactions: short batches cost PostgreSQL more an order. */
  readonly recordsPerBatch?: number | undefined
  /** Errors in its result; empty when it is correct. */
  readonly failures: readonly string[]
}

/** One contender in one round. */
export interface Measurement extends Work {
  readonly round: number
  readonly ordersPerSecond: number
  /** What it wrote to PostgreSQL's log, an order; undefined where its turn had several parts. */
  readonly walBytesAnOrder?: number | undefined
}

/** @throws RangeError when there is none */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)]
  const lower = sorted[Math.floor((sorted.length - 1) / 2)]
  if (upper === undefined || lower === undefined) throw new RangeError('no values have no median')
  return (lower + upper) / 2
}

/**
 * Rates of a contender in those of another, round by round: only figures of the same minutes may be divided.
 * @returns a quotient for each round in which both took part
 */
export function quotients(measurements: readonly Measurement[], contender: string, base: string): number[] {
  return measurements
    .filter(measurement => measurement.contender === contender)
    .flatMap(({ round, ordersPerSecond }) => {
      const beside = measurements.find(other => other.contender === base && other.round === round)
      return beside === undefined ? [] : [ordersPerSecond / beside.ordersPerSecond]
    })
}
