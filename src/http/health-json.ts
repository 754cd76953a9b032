import type { HealthCheck, HealthResult } from '../core/status.ts'

/** A check and its answer, as JSON. */
export interface HealthJson {
  readonly name: string
  readonly ok: boolean
  readonly reason?: string
  readonly since?: string
}

export function askAll(checks: readonly HealthCheck[]): HealthJson[] {
  return checks.map(check => toJson(check.name, ask(check)))
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
