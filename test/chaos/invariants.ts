/** What must hold under every fault, numbered as the figures in docs/guarantees.md name them. */
export const INVARIANTS = {
  I1: 'every acknowledged record is settled: its value stored or replaced by a newer one, or in the DLQ topic',
  I2: 'nothing is stored that was not produced',
  I3: 'each value is its newest version, column for column and position for position',
  I4: 'no value ever goes back to an older version',
  I5: 'the tables of each stream agree: no value is stored in part',
  I6: "Kafka's committed offset is never ahead of progress",
  I7: 'neither progress nor a committed offset ever goes back',
  I8: 'no valid record becomes a dead letter',
  I9: 'a dead letter is its record byte for byte; a repeated one has the same id',
  I10: 'each record has one effect at most, and the ledger counts each once',
  I11: 'memory stays within its bound',
  I12: 'each stream recovers by itself: alive all along, no lag and ready after the last fault, no exit that was not asked for',
  I13: 'a stream that halts is named by readiness in each process, and the others go on',
} as const
export type Invariant = keyof typeof INVARIANTS

export interface Violation {
  readonly invariant: Invariant
  readonly what: string
}

/** Collects what was found; of one invariant no more than a reader can use. */
export interface Verdicts {
  /** So many single facts were held against it. */
  checked(invariant: Invariant, facts?: number): void
  violated(invariant: Invariant, what: string): void
  readonly violations: readonly Violation[]
  checks(invariant: Invariant): number
}

const SHOWN_OF_ONE = 10

export function createVerdicts(onViolation: (violation: Violation) => void): Verdicts {
  const violations: Violation[] = []
  const checks = new Map<Invariant, number>()
  return {
    checked: (invariant, facts = 1) => void checks.set(invariant, (checks.get(invariant) ?? 0) + facts),
    violated(invariant, what) {
      if (violations.filter(known => known.invariant === invariant).length >= SHOWN_OF_ONE) return
      violations.push({ invariant, what })
      onViolation({ invariant, what })
    },
    violations,
    checks: invariant => checks.get(invariant) ?? 0,
  }
}
