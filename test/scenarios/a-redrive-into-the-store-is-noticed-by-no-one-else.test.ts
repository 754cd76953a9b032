import { setTimeout as interval } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFailed, onTestFinished } from 'vitest'
import { brokenOrders } from '../support/broken-orders.ts'
import { holdfast, startHoldfast } from '../support/cli.ts'
import { connections, endSessions, lockOrder } from '../support/locks.ts'
import { differences, generated, modelOf } from '../support/model.ts'
import { anOrder } from '../support/orders.ts'
import { failing, letterCounts, membersIn, redriven, redrives } from '../support/redrives.ts'
import { ask, eventually, type Service, startService } from '../support/service.ts'
import { aStream, type ProducedRecord, type Stream, streamTools } from '../support/stream.ts'
import { aFile } from '../support/temporary-file.ts'

streamTools()

/** A version of the service whose schema has a mistake: it wants zips of digits. */
const STRICTER = fileURLToPath(new URL('../support/stricter-schema.mjs', import.meta.url))
/** Redriven letters would trip it, were they counted: more of them fail in a row on each partition. */
const STORM_GUARD = { DLQ_STORM_MAX_CONSECUTIVE: '400', DLQ_STORM_RATIO: '0' }
const NO_STORM_GUARD = { DLQ_STORM_MAX_CONSECUTIVE: '0', DLQ_STORM_RATIO: '0' }
const UNGUARDED = ['--canary', '0', '--max-failures', 'off', '--yield-above', 'off'] as const
const OF_EACH_KIND = 1_500
const LETTERS = 2 * OF_EACH_KIND
/** Letters that will pass, of orders that have an older version, or get a newer one. */
const VERSIONED = 60

/** Valid, but for the schema that has the mistake. */
function british(n: number, amount: number, zip = 'SW1A 1AA'): ProducedRecord {
  const order = anOrder({ uid: `british-${n}`, amount })
  const value = JSON.stringify({ ...order, delivery: { ...order.delivery, zip } })
  return { key: Buffer.from(order.order_uid), value, partition: n % 3 }
}

/** Another group on the same topic, with tables of its own. */
async function another({ topic }: Stream): Promise<{ readonly group: Stream; readonly service: Service }> {
  const group = await aStream({ names: { topic, dlqTopic: `${topic}.others.dlq`, groupId: `${topic}-others` } })
  return {
    group,
    service: await startService({ ...group, roles: ['consumer', 'api'], env: NO_STORM_GUARD }),
  }
}

it('settles 3,000 letters beside live traffic, through kill -9, and neither topic, groups nor partitions notice', async () => {
  // Given 1,500 orders that the schema refuses by mistake and 1,500 that no one can take; some have a version from before
  const stream = await aStream({ partitions: 3 })
  const before = Array.from({ length: VERSIONED }, (_, n) => british(n, 1, '12345'))
  const mistaken = Array.from({ length: OF_EACH_KIND }, (_, n) => british(n, 2))
  await stream.produce([...before, ...mistaken, ...brokenOrders(OF_EACH_KIND)])
  const strict = await startService({ ...stream, env: { ...NO_STORM_GUARD, NODE_OPTIONS: `--import=${STRICTER}` } })
  await eventually(async () => (await stream.settled()) === VERSIONED + LETTERS, 'them being set aside')
  expect(await letterCounts(stream)).toEqual({ 'open 0': LETTERS })
  expect(await strict.stop()).toBe(0)

  // And the version with the right schema, which runs no jobs and has cached an older version; a second group; newer versions of some
  const service = await startService({ ...stream, roles: ['consumer', 'api'], env: STORM_GUARD })
  const newer = Array.from({ length: VERSIONED / 2 }, (_, n) => british(n, 3))
  await stream.produce(newer)
  const others = await another(stream)
  let produced = VERSIONED + LETTERS + newer.length
  await eventually(async () => (await stream.settled()) === produced, 'the newer versions being stored')
  await eventually(async () => (await others.group.settled()) === produced, 'the other group having read all')
  const older = `/order/british-${VERSIONED - 1}`
  expect(JSON.parse((await ask(service, older)).body)).toMatchObject({ payment: { amount: 1 } })

  // And live traffic
  const records = generated(20_000, { seed: 14, updatesRatio: 0.4 })
  let sent = 0
  let over = false
  const traffic = (async () => {
    while (!over && sent < records.length) {
      await stream.produce(records.slice(sent, sent + 50))
      sent += 50
      await interval(25)
    }
  })()
  onTestFinished(async () => {
    over = true
    await traffic
  })

  // When all of it is redriven into the store, and the worker is killed while a page is in its transaction: it waits for a row of the table
  const lock = await lockOrder(stream, `british-${VERSIONED - 2}`)
  const worker = startHoldfast(stream, 'dlq', 'redrive', 'state:open', '--rate', '500/s', ...UNGUARDED, '--yes')
  onTestFailed(() => console.error(worker.said()))
  await eventually(
    async () =>
      (await membersIn(stream, 'resolved', 'failed_again')) === 1_000 &&
      (await membersIn(stream, 'claimed')) === 500 &&
      (await connections(stream, 'jobs', 'waits for a lock')) > 0,
    'a page standing in the midst of its transaction',
  )
  // Two pages of the first partition were settled before; the order is on the third, the first one of its partition.
  worker.kill('SIGKILL')
  expect(await worker.exited).toBe(137)
  await endSessions(stream, 'holdfast-jobs')
  await lock.release()

  // Then nothing of that page has had an effect
  const halfDone =
    await stream.query(`SELECT FROM holdfast.replay_items AS item JOIN holdfast.dead_letters AS d ON d.id = item.dead_letter_id
    JOIN orders AS o ON o.source_topic = d.source_topic AND o.source_partition = d.source_partition
      AND o.source_offset = d.source_offset
    WHERE item.state = 'claimed' OR d.state = 'replaying'`)
  expect([await membersIn(stream, 'claimed'), await membersIn(stream, 'resolved', 'failed_again')]).toEqual([
    500, 1_000,
  ])
  expect(halfDone).toHaveLength(0)

  // And a process that only runs jobs goes on with it
  const jobs = startHoldfast(stream, 'serve', '--roles', 'jobs')
  await eventually(async () => (await redrives(stream))[0]?.state === 'done', 'it being done')
  over = true
  await traffic
  produced += sent

  // Then each letter is in its right state, exactly once
  expect(await redrives(stream)).toMatchObject([
    { to: 'store', total: LETTERS, published: LETTERS, resolved: OF_EACH_KIND, failed_again: OF_EACH_KIND, skipped: 0 },
  ])
  expect(await letterCounts(stream)).toEqual({ 'resolved 1': OF_EACH_KIND, 'open 1': OF_EACH_KIND })
  const outcomes = await stream.query(
    'SELECT outcome, count(*)::int FROM holdfast.replay_items GROUP BY outcome ORDER BY outcome',
  )
  expect(outcomes).toEqual([
    { outcome: 'schema_violation', count: OF_EACH_KIND },
    { outcome: 'stale', count: newer.length },
    { outcome: 'written', count: OF_EACH_KIND - newer.length },
  ])
  const events = await stream.query(`SELECT max(count)::int FROM (SELECT count(*) FROM holdfast.dead_letter_events
    WHERE what IN ('resolved', 'failed_again') GROUP BY dead_letter_id) AS counted`)
  expect(events).toEqual([{ max: 1 }])

  // And the values are those of the newest versions, in tables and caches
  await eventually(async () => (await stream.settled()) === produced, 'the live traffic being settled')
  const final = modelOf(records.slice(0, sent)).orders as Map<string, unknown>
  for (const { key, value } of [...mistaken, ...newer]) final.set(String(key), JSON.parse(String(value)))
  expect(await differences(stream, { orders: final as ReturnType<typeof modelOf>['orders'] })).toEqual([])
  expect(JSON.parse((await ask(service, older)).body)).toMatchObject({ payment: { amount: 2 } })

  // And no other group has seen anything, nothing was published, and no partition was paused
  expect(await stream.readAll(stream.topic)).toHaveLength(produced)
  expect(await redriven(stream)).toEqual([])
  expect(await stream.readAll(stream.dlqTopic)).toHaveLength(LETTERS)
  await eventually(async () => (await others.group.settled()) === produced, 'the other group')
  expect(await service.metric('partition_paused')).toBe(0)
  expect(service.log.filter(({ event }) => event === 'paused')).toEqual([])
  expect(await service.metric('records_total')).toBe(newer.length + sent)
  expect(await service.metric('dead_letters_total')).toBe(0)

  // And the proof holds, value for value
  await eventually(async () => (await stream.findings({ deep: true })).length === 0, 'the proof')
  expect((await holdfast(stream, 'verify')).stderr).toContain('each accounted for')
  jobs.kill('SIGTERM')
  expect(await jobs.exited).toBe(0)
  for (const process of [service, others.service]) expect(await process.stop()).toBe(0)
})

it('stores an edited value at the place of its letter, and keeps the letter of one that Postgres refuses', async () => {
  // Given two letters
  const stream = await aStream({ partitions: 3 })
  await stream.produce(brokenOrders(3))
  const service = await startService(stream)
  await eventually(async () => (await stream.settled()) === 3, 'them being set aside')
  await stream.query('ALTER TABLE payments ADD CONSTRAINT test_only CHECK (amount <> 666)')
  const repaired = (uid: string, amount: number) => JSON.stringify(anOrder({ uid, amount }))
  const redrive = async (uid: string, amount: number) => {
    const [letter] = await stream.query<{ id: string }>('SELECT id FROM holdfast.dead_letters WHERE key = $1', [uid])
    const edit = ['dlq', 'replay', `id:${letter?.id}`, '--edit', await aFile(repaired(uid, amount)), '--yes', '--json']
    return { id: letter?.id ?? '', asked: holdfast(stream, ...edit) }
  }

  // When one is redriven with a good value, and one with a value that the table refuses
  const good = await redrive('broken-1', 7)
  expect(JSON.parse((await good.asked).stdout)).toMatchObject({ to: 'store', edited: true, resolved: 1 })
  const bad = await redrive('broken-2', 666)
  const { code, stdout } = await failing(bad.asked)
  expect([code, JSON.parse(stdout)]).toMatchObject([1, { failed_again: 1 }])

  // Then one is stored, at the position of the record that failed, and the other one waits with its new cause, and its own bytes
  expect(JSON.parse((await ask(service, '/order/broken-1')).body)).toMatchObject({ payment: { amount: 7 } })
  expect(await stream.query('SELECT source_topic, source_partition AS partition FROM orders')).toEqual([
    { source_topic: stream.topic, partition: 1 },
  ])
  const shown = JSON.parse((await holdfast(stream, 'dlq', 'show', bad.id, '--reveal', '--json')).stdout)
  expect(shown).toMatchObject({ state: 'open', reason: 'store_rejected', error: '23514', replay_count: 1 })
  expect(JSON.stringify(shown)).toContain('much')
  expect(await stream.readAll(stream.topic)).toHaveLength(3)
  await eventually(async () => (await stream.findings({ deep: true })).length === 0, 'the proof')

  // And an index that was lost knows how often it was redriven and why it failed: its history says so, the topic does not
  await stream.query('TRUNCATE holdfast.dead_letters')
  await holdfast(stream, 'dlq', 'reindex')
  expect(await letterCounts(stream)).toEqual({ 'open 0': 1, 'open 1': 1, 'resolved 1': 1 })
  const again = JSON.parse((await holdfast(stream, 'dlq', 'show', bad.id, '--json')).stdout)
  expect(again).toMatchObject({ state: 'open', reason: 'store_rejected', error: '23514', violations: [] })
  await eventually(async () => (await stream.findings({ deep: true })).length === 0, 'the proof')
  expect(await service.stop()).toBe(0)
})
