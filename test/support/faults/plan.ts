import { createRandom, type Random } from '#src/engine/values/random.ts'
import { FAULT_NAMES, type FaultKind, type FaultName, faultKind } from './faults.ts'

export interface PlannedFault {
  readonly name: FaultName
  /** Which replica, where the fault is a worker's. */
  readonly worker: number
  /** After the beginning of its step. */
  readonly delayMs: number
  readonly durationMs: number
}

/** One fault, or two that overlap; then the stream is left alone for a while. */
export interface Step {
  /** When it would begin if every server took as long to come back as we suppose. */
  readonly atMs: number
  readonly faults: readonly PlannedFault[]
  readonly restMs: number
}

export interface PlanOptions {
  readonly seed: number
  readonly minutes: number
  readonly replicas: number
  /** Only these; all of them by default. */
  readonly only?: readonly FaultName[] | undefined
}

const FIRST_AT_MS = 3_000
const REST_MS = [2_000, 6_000] as const
/** As long as it takes until every partition moves again, about. */
const RECOVERY_MS = 2_500
const OVERLAP_CHANCE = 0.3

/**
 * Which faults, on what, when and for how long: a function of the seed alone. Kinds are dealt like cards, so that each comes
 * by before one comes by twice. Two at a time never hit the same target, or one would heal what the other broke.
 */
export function planFaults({ seed, minutes, replicas, only }: PlanOptions): Step[] {
  const random = createRandom([seed, 0x0c4a05, replicas])
  const names = only ?? FAULT_NAMES
  const endMs = minutes * 60_000
  const steps: Step[] = []
  let deck: FaultName[] = []

  function draw(fits: (kind: FaultKind) => boolean): FaultKind | undefined {
    const index = deck.findIndex(name => fits(faultKind(name)))
    const [name] = index < 0 ? [] : deck.splice(index, 1)
    return name === undefined ? undefined : faultKind(name)
  }
  const planned = ({ name, durationMs }: FaultKind, delayMs: number): PlannedFault => ({
    name,
    worker: random.between(0, replicas - 1),
    delayMs,
    durationMs: random.between(...durationMs),
  })

  for (let atMs = FIRST_AT_MS; ; ) {
    if (deck.length === 0) deck = shuffled(names, random)
    const kind = draw(() => true)
    if (kind === undefined) return steps
    const first = planned(kind, 0)
    const secondKind = random.chance(OVERLAP_CHANCE) ? draw(other => other.target !== kind.target) : undefined
    const second = secondKind && planned(secondKind, random.between(0, first.durationMs))
    const faults = second === undefined ? [first] : [first, second]
    const tookMs = Math.max(...faults.map(fault => fault.delayMs + fault.durationMs + faultKind(fault.name).healMs))
    if (atMs + tookMs + RECOVERY_MS > endMs && steps.length > 0) return steps
    const restMs = random.between(...REST_MS)
    steps.push({ atMs, faults, restMs })
    atMs += tookMs + RECOVERY_MS + restMs
  }
}

/** Fisher and Yates. */
function shuffled<T>(values: readonly T[], random: Random): T[] {
  const left = [...values]
  const taken: T[] = []
  while (left.length > 0) taken.push(...left.splice(random.between(0, left.length - 1), 1))
  return taken
}
