import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { holdfast } from '../support/cli.ts'
import { eventually, type Service, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'

streamTools()

const model = JSON.parse(await readFile(new URL('../../data/model.json', import.meta.url), 'utf8'))
const KILLER = fileURLToPath(new URL('../support/killed-by-a-record.mjs', import.meta.url))
const MAX_STARTS = 3

it('dead-letters it as crash_loop after CRASH_LOOP_MAX_STARTS, and only it; the next one flows', async () => {
  // given ten good orders, one in the middle of which ends every process that looks at it
  const stream = await aStream({ partitions: 1 })
  const order = (i: number) => ({
    ...model,
    order_uid: `order-${i}`,
    ...(i === 5 ? { entry: 'ends-the-process' } : {}),
  })
  await stream.produce(Array.from({ length: 10 }, (_, i) => ({ value: JSON.stringify(order(i)), partition: 0 })))
  const env = {
    NODE_OPTIONS: `--import=${KILLER}`,
    CRASH_LOOP_MAX_STARTS: String(MAX_STARTS),
    // The least that a broker allows: each new process waits for the session of the one before to end.
    KAFKA_CONFIG: 'session.timeout.ms=6000,heartbeat.interval.ms=1000',
  }

  // when a supervisor starts it again and again
  let service: Service | undefined
  let starts = 0
  for (let settled = 0; settled < 10 && starts < 8; ) {
    service = await startService({ ...stream, env })
    starts += 1
    settled = await eventually(async () => {
      const now = await stream.settled()
      return (now === 10 || (await Promise.race([service?.exited, undefined])) !== undefined) && Math.max(now, 1)
    }, 'the end of the process, or of the topic')
  }

  // then the guilty one is a dead letter, its neighbours are orders, and each offset is accounted for
  expect(starts - 1, 'deaths').toBeGreaterThanOrEqual(MAX_STARTS)
  expect(starts).toBeLessThanOrEqual(5)
  const [letter, ...others] = await stream.query('SELECT source_offset, reason, key FROM holdfast.dead_letters')
  expect(letter).toMatchObject({ source_offset: '5', reason: 'crash_loop' })
  expect(others).toEqual([])
  expect(await stream.query('SELECT order_uid FROM orders ORDER BY order_uid')).toHaveLength(9)
  expect((await stream.readAll(stream.dlqTopic)).map(({ value }) => value?.toString())).toEqual([
    JSON.stringify(order(5)),
  ])
  expect(await service?.stop()).toBe(0)
  await holdfast(stream, 'verify')
})
