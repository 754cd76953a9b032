import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type EmbeddedPrometheus, startPrometheus } from './servers/prometheus.ts'
import { missingPrometheus } from './servers/prometheus-binaries.ts'

const RULES_DIR = fileURLToPath(new URL('../../prometheus/rules', import.meta.url))
/** What its page shows first, because an empty one says nothing: records by what became of them, as recording.yml has it. */
export const FIRST_GRAPH = 'job_outcome:holdfast_records:rate5m'
/** A short interval, because the user watches: promptness matters more than cost here. */
const INTERVAL_MS = 2_000

/**
 * Prometheus with our rules beside the demo, where it is installed. Without it everything else works, so a problem with it
 * is reported and does not fail the demo.
 * @param dataDir keeps what it has seen below this folder between runs
 * @returns where it is, or in a line why it is not
 */
export async function startDemoPrometheus(
  metricsUrl: string,
  dataDir: string | undefined,
): Promise<EmbeddedPrometheus | string> {
  const missing = missingPrometheus()
  if (missing !== undefined) return `not here: ${missing}`
  try {
    const dir = dataDir === undefined ? undefined : join(dataDir, 'prometheus')
    return await startPrometheus({ targets: [{ url: metricsUrl }], rulesDir: RULES_DIR, intervalMs: INTERVAL_MS, dir })
  } catch (error) {
    const [firstLine] = (error instanceof Error ? error.message : String(error)).split('\n')
    return `did not start: ${firstLine}`
  }
}
