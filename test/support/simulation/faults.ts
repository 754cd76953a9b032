import type { Random } from '#src/engine/values/random.ts'

/**
 * What may go wrong with a request. Each kind is switched on for a part of the schedules only, and then fires now and
 * then (as FoundationDB's "buggify" does): schedules differ in character, instead of all being the same noise.
 */
const REQUEST_FAULTS = [
  /** Takes long. */
  'slow',
  /** Fails without effect. */
  'refused',
  /** Takes effect, and its reply is lost. */
  'reply_lost',
  /** Its reply is lost, and it takes effect long after that. */
  'late',
  /** The store gives up on this work: a timeout, a deadlock. */
  'contended',
] as const
export type RequestFault = (typeof REQUEST_FAULTS)[number]

/** What may happen to the processes and servers. */
const WORLD_FAULTS = [
  'rebalance',
  'expel',
  'crash',
  'freeze',
  /** Its native client finds no broker any more, and is replaced. */
  'renew',
  'restart',
  'store_away',
  'dlq_away',
  'broker_away',
  'retention',
  /** An operator holds a partition, or the whole stream, for a while. */
  'pause',
] as const
export type WorldFault = (typeof WORLD_FAULTS)[number]

/** The faults of one schedule. Once it is calm, nothing goes wrong any more. */
export interface Faults {
  readonly world: readonly WorldFault[]
  calm: boolean
  readonly away: { store: boolean; dlq: boolean; broker: boolean }
  /** What goes wrong with the request that is made now. */
  strike(): RequestFault | undefined
  /** How long a message is under way, in ms. */
  latency(): number
}

const ACTIVE = 0.4
const FIRED = 0.06

export function createFaults(random: Random): Faults {
  const requests = REQUEST_FAULTS.filter(() => random.chance(ACTIVE))
  return {
    world: WORLD_FAULTS.filter(() => random.chance(ACTIVE)),
    calm: false,
    away: { store: false, dlq: false, broker: false },
    strike() {
      return this.calm || requests.length === 0 || !random.chance(FIRED) ? undefined : random.pick(requests)
    },
    latency: () => random.between(0, 8),
  }
}
