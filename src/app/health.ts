import { dispositionOf } from '../engine/errors.ts'
import { livenessOf, readinessOf } from '../engine/health.ts'
import type { Clock } from '../engine/ports.ts'
import type { HealthCheck, HealthResult } from '../engine/status.ts'
import type { Config } from '../settings/config.ts'
import type { StartGate } from './start.ts'
import type { StreamUnit } from './stream.ts'

/** How often readiness asks Postgres, so that it also notices an outage while no record arrives. */
const POSTGRES_CHECK_INTERVAL_MS = 2_000

/** Checks of `/livez` and `/readyz`. Those of a stream name it. */
export interface Health {
  readonly live: readonly HealthCheck[]
  readonly ready: readonly HealthCheck[]
  /** Readiness fails from now on. */
  stopping(): void
  /** Checks Postgres at intervals until the signal aborts, and reports an outage to each stream. */
  watchPostgres(probe: () => Promise<void>, signal: AbortSignal): Promise<void>
}

export function composeHealth({
  config,
  gate,
  units,
  clock,
}: {
  readonly config: Config
  readonly gate: StartGate
  readonly units: readonly StreamUnit[]
  readonly clock: Clock
}): Health {
  let postgres: HealthResult = { ok: false, reason: 'not asked yet', since: clock.now() }
  let stoppingSinceMs: number | undefined
  const engines = units.flatMap(({ stream, engine }) => (engine === undefined ? [] : [{ stream: stream.name, engine }]))
  const limits = { stuckAfterMs: config.stuckAfterMs, now: clock.now }
  // One stream needs no check of its own for the start: then it is the start of the process.
  const gates = units.flatMap(unit => (unit.engine === undefined ? [] : [unit.gate.check]))
  const alone = gates.length === 1 ? gates[0] : undefined
  const start: readonly HealthCheck[] =
    alone === undefined
      ? [gate.check, ...gates]
      : [{ name: 'start', check: () => (gate.check.check().ok ? alone.check() : gate.check.check()) }]

  return {
    live:
      engines.length === 0
        ? livenessOf(() => undefined, limits)
        : engines.flatMap(({ stream, engine }) => named(stream, livenessOf(engine.status, limits))),
    ready: [
      ...start,
      { name: 'postgres', check: () => postgres },
      ...engines.flatMap(({ stream, engine }) => {
        const several = engines.length > 1
        return named(stream, readinessOf(engine.status, several ? { stream } : {}))
      }),
      {
        name: 'shutdown',
        check: () =>
          stoppingSinceMs === undefined ? { ok: true } : { ok: false, reason: 'shutting down', since: stoppingSinceMs },
      },
    ],
    stopping() {
      stoppingSinceMs = clock.now()
    },
    async watchPostgres(probe, signal) {
      while (!signal.aborted) {
        try {
          await probe()
          postgres = { ok: true, since: postgres.ok ? (postgres.since ?? clock.now()) : clock.now() }
        } catch (error) {
          if (dispositionOf(error) === 'retry') for (const { engine } of engines) engine.storeAway(error)
          const reason = error instanceof Error ? error.message : String(error)
          postgres = { ok: false, reason, since: postgres.ok ? clock.now() : (postgres.since ?? clock.now()) }
        }
        await clock.sleep(POSTGRES_CHECK_INTERVAL_MS, signal)
      }
    },
  }
}

function named(stream: string, checks: readonly HealthCheck[]): HealthCheck[] {
  return checks.map(check => ({ ...check, stream }))
}
