import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { eventually, isReady, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'

streamTools()

const THROWER = fileURLToPath(new URL('../support/throws-on-demand.mjs', import.meta.url))

it('at once, with the kind of error in the log and not its text, which may quote an order', async () => {
  const stream = await aStream({ partitions: 1 })
  const service = await startService({ ...stream, env: { NODE_OPTIONS: `--import=${THROWER}` } })
  await eventually(() => isReady(service), 'readiness')
  service.kill('SIGUSR2')
  expect(await service.exited).toBe(137)
  const line = service.log.find(({ event }) => event === 'uncaught')
  expect(line).toMatchObject({ level: 'fatal', type: 'RangeError' })
  expect(JSON.stringify(service.log)).not.toContain('Jane Roe')
})
