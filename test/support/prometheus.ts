import { describe, it } from 'vitest'
import { missingPrometheus } from '#src/embedded/prometheus-binaries.ts'

/**
 * Tests that need Prometheus or its promtool. Where they are not installed they are skipped, by a name that says so. `make setup`
 * installs them when it runs as root on Debian, so on a build server they always run.
 */
export function withPrometheus(name: string, tests: () => void): void {
  const missing = missingPrometheus()
  if (missing === undefined) describe(name, tests)
  else it.skip(`${name}: skipped, because ${missing}`, () => {})
}
