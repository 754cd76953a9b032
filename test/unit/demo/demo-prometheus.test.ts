import { afterEach, expect, it, vi } from 'vitest'
import { startDemoPrometheus } from '#tools/demo/prometheus.ts'

afterEach(() => vi.unstubAllEnvs())

it('the demo goes on without Prometheus where there is none, and says how to have it, in one line', async () => {
  vi.stubEnv('PATH', '/nowhere')
  vi.stubEnv('XDG_CACHE_HOME', '/nowhere')
  const said = await startDemoPrometheus('http://127.0.0.1:1', undefined)
  expect(said).toMatch(
    /^not here: prometheus and promtool cannot be found; to have them: .*"apt-get install prometheus"/,
  )
  expect(said).not.toContain('\n')
})
