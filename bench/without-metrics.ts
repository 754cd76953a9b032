/**
 * Preloaded into a service (NODE_OPTIONS=--import) it disables that service's metrics: nothing is counted, kept or read for
 * them, and `/metrics` is empty. What they cost is the difference. The product itself has no such switch.
 */
import { registerHooks } from 'node:module'

const NONE = `
export function createMetrics() {
  const contentType = { text: 'text/plain', openmetrics: 'text/plain' }
  return { contentType, render: async () => '', count() {}, observe() {} }
}`
const NOTHING_READ = 'export const startSampler = () => ({ latest() {}, [Symbol.dispose]() {} })'

registerHooks({
  load(url, context, nextLoad) {
    const source = url.endsWith('/src/telemetry/metrics.ts')
      ? NONE
      : url.endsWith('/src/telemetry/sampler.ts')
        ? NOTHING_READ
        : undefined
    return source === undefined ? nextLoad(url, context) : { format: 'module', source, shortCircuit: true }
  },
})
