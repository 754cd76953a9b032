import type { HealthCheck, HealthResult } from '../engine/status.ts'

/** A check and its answer, as JSON. */
export interface HealthJson {
  readonly name: string
  readonly ok: boolean
  readonly reason?: string
  readonly since?: string
}

/** Where they are about several streams, a name says which: `partitions:returns`. */
export function askAll(checks: readonly HealthCheck[]): HealthJson[] {
  const streams = new Set(checks.flatMap(({ stream }) => stream ?? []))
  const nameOf = ({ name, stream }: HealthCheck) =>
    stream === undefined || streams.size < 2 ? name : `${name}:${stream}`
  return checks.map(check => toJson(nameOf(check), ask(check)))
}

/** A check that throws has not held. */
function ask(check: HealthCheck): HealthResult {
  try {
    return check.check()
  } catch {
    return { ok: false, reason: 'the check itself failed' }
  }
}

function toJson(name: string, { ok, reason, since }: HealthResult): HealthJson {
  return {
    name,
    ok,
    ...(reason === undefined ? {} : { reason }),
    ...(since === undefined ? {} : { since: new Date(since).toISOString() }),
  }
}
