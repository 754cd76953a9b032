import { hostname } from 'node:os'
import type { Observer } from '../engine/facts.ts'
import type { Clock } from '../engine/ports.ts'
import { newestMigration } from '../engine/postgres/migration-status.ts'
import { forgetProcess, noteProcess, PROCESS_BEAT_MS } from '../engine/postgres/processes.ts'
import { startSampler } from '../telemetry/sampler.ts'
import type { Pool } from './pools.ts'

export interface PresenceParts {
  readonly pool: Pool
  /** The one of this process. */
  readonly id: string
  readonly roles: ReadonlySet<string>
  readonly observer: Observer
  readonly clock: Clock
}

/** A stop does not wait longer than this for the database, in ms. */
const FORGET_MS = 1_000

/**
 * Says in the database, again and again, that this process runs: "migrate up" and "migrate down" do not take from it what it works with.
 * The first time is waited for, so that no migration passes by a process that is about to work.
 * @throws StoreUnavailableError, StoreMisconfiguredError
 */
export async function notePresence({ pool, id, roles, observer, clock }: PresenceParts): Promise<AsyncDisposable> {
  const self = { id, migration: await newestMigration(), roles: [...roles], host: hostname(), pid: process.pid }
  await noteProcess(pool, self)
  const beating = startSampler({
    read: () => noteProcess(pool, self),
    clock,
    intervalMs: PROCESS_BEAT_MS,
    onFailure: error => observer.observe({ kind: 'presence_unnoted', error }),
  })
  return {
    async [Symbol.asyncDispose]() {
      beating[Symbol.dispose]()
      const forgotten = forgetProcess(pool, id).catch(() => {})
      await Promise.race([forgotten, clock.sleep(FORGET_MS)])
    },
  }
}
