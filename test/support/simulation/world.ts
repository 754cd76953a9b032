import { createRandom, type Random } from '#src/engine/values/random.ts'
import { createFaults, type Faults } from './faults.ts'
import { createVirtualTime, type VirtualTime } from './virtual-time.ts'

export const TOPIC = 'orders'
export const GROUP = 'group'

/** What the players of one schedule share. */
export interface World {
  readonly random: Random
  readonly time: VirtualTime
  readonly faults: Faults
  /** What happened, a line each; empty unless the schedule is replayed to be read. */
  readonly trace: readonly string[]
  /** The first promise that was broken; it ends the schedule. */
  readonly broken: string | undefined
  tell(what: () => string): void
  /** A promise of the product is broken. */
  violated(promise: string): void
}

export function createWorld(seed: number, tracing: boolean): World {
  const random = createRandom([seed, 0x51, 0x3d])
  const time = createVirtualTime()
  const trace: string[] = []
  let broken: string | undefined
  const tell = (what: () => string) => {
    if (tracing) trace.push(`${String(time.nowMs).padStart(6)} ${what()}`)
  }
  return {
    random,
    time,
    faults: createFaults(random),
    trace,
    get broken() {
      return broken
    },
    tell,
    violated(promise) {
      broken ??= promise
      tell(() => `VIOLATED: ${promise}`)
    },
  }
}
