import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { setTimeout as interval } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { generated } from '../support/model.ts'
import { eventually, startService } from '../support/service.ts'
import { aStream, type ProducedRecord, streamTools, totalOf } from '../support/stream.ts'

streamTools()

const model = JSON.parse(await readFile(new URL('../../data/model.json', import.meta.url), 'utf8'))
const SMALL = 12_000
const LARGE = 120
const ITEMS_OF_A_LARGE_ONE = 2_000
/** Of V8, for everything in JavaScript. */
const HEAP_MB = 128
/** What bounds the rest: two batches a lane, the cache, and what the client fetches ahead. */
const FOR_LITTLE_MEMORY = {
  NODE_OPTIONS: `--max-old-space-size=${HEAP_MB}`,
  PG_POOL_MAX: '2',
  BATCH_MAX_BYTES: '2MiB',
  CACHE_MAX_BYTES: '8MiB',
  KAFKA_CONFIG: 'queued.max.messages.kbytes=4096',
}
/** Of the whole process: the heap, buffers, and what the native client holds; 280 MB were measured. */
const RSS_LIMIT_BYTES = 380 * 1024 * 1024

it('is settled in memory that does not grow with it', async () => {
  // Given 12,000 small orders, and among them 120 of several hundred kB each
  const stream = await aStream({ partitions: 3 })
  const large = Array.from({ length: LARGE }, (_, i) => ({ key: Buffer.from(`large-${i}`), value: aLargeOrder(i) }))
  const bytes = large.reduce((sum, { value }) => sum + value.length, 0)
  expect(bytes).toBeGreaterThan(0.5 * HEAP_MB * 1024 * 1024)
  const small: ProducedRecord[] = generated(SMALL, { seed: 131 })
  for (let i = 0; i < LARGE; i++) {
    const to = (i + 1) * (SMALL / LARGE)
    await stream.produce([...small.slice(i * (SMALL / LARGE), to), ...large.slice(i, i + 1)])
  }

  // When a service with a small heap works them off
  const service = await startService({ ...stream, env: FOR_LITTLE_MEMORY })
  let ended = false
  void service.exited.then(() => {
    ended = true
  })
  let most = residentBytes(service.pid)
  while (!ended && (await stream.settled()) < SMALL + LARGE) {
    await interval(100)
    most = Math.max(most, residentBytes(service.pid))
  }

  // Then it never ran out of memory, and everything is stored
  expect(ended, 'it ended by itself').toBe(false)
  expect(most).toBeLessThan(RSS_LIMIT_BYTES)
  expect(most).toBeGreaterThan(0)
  expect(totalOf(await stream.ledger())).toMatchObject({ records: SMALL + LARGE, written: SMALL + LARGE })
  const items = await stream.query("SELECT 1 FROM items WHERE order_uid = 'large-7'")
  expect(items).toHaveLength(ITEMS_OF_A_LARGE_ONE)
  expect(await stream.readAll(stream.dlqTopic)).toEqual([])
  await eventually(async () => (await stream.committed()) === SMALL + LARGE, 'the commits')
  expect(await service.stop()).toBe(0)
})

function aLargeOrder(i: number): string {
  const [item] = model.items
  const items = Array.from({ length: ITEMS_OF_A_LARGE_ONE }, (_, position) => ({
    ...item,
    chrt_id: position,
    name: `${'n'.repeat(180)}${position}`,
  }))
  return JSON.stringify({ ...model, order_uid: `large-${i}`, items })
}

/** Memory that the process holds now. */
function residentBytes(pid: number): number {
  try {
    return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
  } catch {
    return 0
  }
}
