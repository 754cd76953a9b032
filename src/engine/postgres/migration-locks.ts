import { systemClock } from '../../clock.ts'
import { StoreContendedError } from '../errors.ts'
import { retry } from '../retry.ts'
import { toStoreError } from './errors.ts'
import type { Ask } from './migration-home.ts'

/** A migration that waits for a table (a proof may read it for a minute) makes everything else wait behind it: so not for long. */
const LOCK_TIMEOUT_MS = 3_000
/** Between two attempts, so that what stood behind the first comes through. */
const LOCK_PAUSE_MS = 2_000
const LOCK_ATTEMPTS = 60

/** Tries again where a lock was not to be had in time; nothing was applied then. @throws StoreContendedError after {@link LOCK_ATTEMPTS} */
export async function withLocks<R>(ask: Ask, work: () => Promise<R>): Promise<R> {
  await ask(`SET lock_timeout = ${LOCK_TIMEOUT_MS}`, [])
  return await retry(work, {
    policy: { initialMs: LOCK_PAUSE_MS, maxMs: LOCK_PAUSE_MS },
    // In full: the others have waited, and there is one of us.
    random: () => 1,
    clock: systemClock,
    signal: new AbortController().signal,
    maxAttempts: LOCK_ATTEMPTS,
    passes: error => toStoreError(error) instanceof StoreContendedError,
  })
}
