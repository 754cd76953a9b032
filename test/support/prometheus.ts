import { describe, it } from 'vitest'
import { findProgram, howToInstall } from '#src/embedded/prometheus.ts'

/**
 * Tests that need Prometheus or its promtool. Where they are not installed they are skipped, by a name that says so. `make setup`
 * installs them when it runs as root on Debian, so on a build server they always run.
 */
export function withPrometheus(name: string, tests: () => void): void {
  const missing = (['prometheus', 'promtool'] as const).filter(program => findProgram(program) === undefined)
  if (missing.length === 0) describe(name, tests)
  else
    it.skip(`${name}: skipped, because ${missing.join(' and ')} cannot be found; to have them: ${howToInstall}`, () => {})
}
