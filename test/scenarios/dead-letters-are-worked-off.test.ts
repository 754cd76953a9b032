import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { HEADER, headerText } from '#src/engine/headers.ts'
import type { Redrive } from '#src/inbox/redrive-ports.ts'
import { EDITED_HEADER } from '#src/inbox/redriven-record.ts'
import { brokenOrders } from '../support/broken-orders.ts'
import { holdfast } from '../support/cli.ts'
import { anOrder } from '../support/orders.ts'
import { failing, letterCounts, redriven } from '../support/redrives.ts'
import { runJob } from '../support/run-job.ts'
import { eventually, startService } from '../support/service.ts'
import { aStream, type ProducedRecord, type Stream, streamTools, totalOf } from '../support/stream.ts'
import { aFile } from '../support/temporary-file.ts'

streamTools()

/** A version of the service whose schema has a mistake: it wants zips of digits. */
const STRICTER = fileURLToPath(new URL('../support/stricter-schema.mjs', import.meta.url))

/** Valid, but for the schema that has the mistake. */
function britishOrder(uid: string, partition: number): ProducedRecord {
  const order = anOrder({ uid, amount: 1 })
  const value = JSON.stringify({ ...order, delivery: { ...order.delivery, zip: 'SW1A 1AA' } })
  return { key: Buffer.from(uid), value, partition }
}

async function redrive(stream: Stream, ...args: readonly string[]): Promise<{ code: number; redrive: Redrive }> {
  try {
    const { stdout } = await holdfast(stream, 'dlq', 'replay', ...args, '--to', 'topic', '--yes', '--json')
    return { code: 0, redrive: JSON.parse(stdout) as Redrive }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
    if (stdout === '') throw new Error(stderr)
    return { code, redrive: JSON.parse(stdout) as Redrive }
  }
}

it('resolves what a repaired schema lets pass, parks what never will, and stores what was repaired', async () => {
  // Given orders that the schema refuses by mistake, orders that nobody can take, and a newer version of one of the former
  const stream = await aStream({ partitions: 3 })
  const british = Array.from({ length: 6 }, (_, n) => britishOrder(`british-${n}`, n % 3))
  await stream.produce([...british, ...brokenOrders(6)])
  const strict = await startService({ ...stream, env: { NODE_OPTIONS: `--import=${STRICTER}` } })
  await eventually(async () => (await stream.settled()) === 12, 'them being set aside')
  const groups = await stream.query(
    'SELECT error, pointer, count(*)::int FROM holdfast.dead_letters GROUP BY 1, 2 ORDER BY 1',
  )
  expect(groups).toEqual([
    { error: 'pattern', pointer: '/delivery/zip', count: 6 },
    { error: 'type', pointer: '/payment/amount', count: 6 },
  ])
  const newer = anOrder({ uid: 'british-0', amount: 2 })
  await stream.produce([{ key: Buffer.from('british-0'), value: JSON.stringify(newer), partition: 0 }])
  await eventually(async () => (await stream.settled()) === 13, 'the newer one being written')
  expect(await letterCounts(stream)).toEqual({ 'open 0': 12 })

  // When the version with the right schema is deployed
  expect(await strict.stop()).toBe(0)
  const service = await startService(stream)
  await eventually(() => service.log.some(({ event }) => event === 'jobs_started'), 'the jobs')

  // Then those are found that would pass now, and only those are redriven
  const checked = (await holdfast(stream, 'dlq', 'check', 'state:open', '--json')).stdout.trimEnd().split('\n')
  const passes = checked.map(line => JSON.parse(line) as { id: string; passes: boolean }).filter(({ passes }) => passes)
  const mistaken = await stream.query<{ id: string }>(
    "SELECT id FROM holdfast.dead_letters WHERE pointer = '/delivery/zip' ORDER BY id",
  )
  expect(checked).toHaveLength(12)
  expect(passes.map(({ id }) => id).toSorted()).toEqual(mistaken.map(({ id }) => id).toSorted())
  const passing = await redrive(stream, 'state:open', '--only-passing')
  expect(passing).toMatchObject({
    code: 0,
    redrive: { state: 'done', total: 6, published: 6, resolved: 6, only_passing: true },
  })
  expect(await letterCounts(stream)).toEqual({ 'open 0': 6, 'resolved 1': 6 })
  // The older version of what was written meanwhile is stale, which resolves it as well
  const outcomes = await stream.query<{ outcome: string; ids: string[] }>(
    'SELECT outcome, array_agg(dead_letter_id) AS ids FROM holdfast.replay_items GROUP BY outcome ORDER BY outcome',
  )
  expect(outcomes).toMatchObject([{ outcome: 'stale', ids: [`${stream.topic}-0-0`] }, { outcome: 'written' }])
  const stored = await fetch(`${service.url}/order/british-0`)
  expect(await stored.json()).toEqual(newer)
  expect((await fetch(`${service.url}/order/british-5`)).status).toBe(200)

  // When the others are redriven three times, they fail three times, and are parked
  for (const turn of [1, 2, 3]) {
    const again = await redrive(stream, 'pointer:/payment/*')
    expect(again.code).toBe(1)
    expect(again.redrive).toMatchObject(turn < 3 ? { failed_again: 6, parked: 0 } : { failed_again: 0, parked: 6 })
    expect(await letterCounts(stream)).toEqual({ [`${turn < 3 ? 'open' : 'parked'} ${turn}`]: 6, 'resolved 1': 6 })
  }
  const nothing = await holdfast(stream, 'dlq', 'replay', 'pointer:/payment/*', '--yes', '--json')
  expect(JSON.parse(nothing.stdout)).toMatchObject({ preview: { count: 0, left_out: { not_open: 6 } } })

  // When one of them is repaired: what would fail again is refused, what is right is stored
  const id = `${stream.topic}-1-2`
  const [{ uid } = { uid: '' }] = await stream.query<{ uid: string }>(
    'SELECT key AS uid FROM holdfast.dead_letters WHERE id = $1',
    [id],
  )
  const edit = await aFile(JSON.stringify({ ...anOrder({ uid }), items: [] }))
  const refused = await failing(holdfast(stream, 'dlq', 'replay', 'state:parked', `id:${id}`, '--edit', edit, '--yes'))
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('/items') })
  // The file of another order: this one would be resolved, and stored nowhere
  await writeFile(edit, JSON.stringify(anOrder({ uid: 'another', amount: 77 })))
  const wrong = await failing(holdfast(stream, 'dlq', 'replay', 'state:parked', `id:${id}`, '--edit', edit, '--yes'))
  expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining(`has the key another, and ${id} has ${uid}`) })
  await writeFile(edit, JSON.stringify(anOrder({ uid, amount: 77 })))
  const repaired = await redrive(
    stream,
    'state:parked',
    `id:${id}`,
    '--edit',
    edit,
    '--because',
    'the amount was a word',
  )
  expect(repaired).toMatchObject({
    code: 0,
    redrive: { total: 1, resolved: 1, edited: true, because: 'the amount was a word' },
  })
  expect(await (await fetch(`${service.url}/order/${uid}`)).json()).toMatchObject({ payment: { amount: 77 } })
  expect(await letterCounts(stream)).toEqual({ 'parked 3': 5, 'resolved 1': 6, 'resolved 4': 1 })

  // Then the topic says that it was edited, and the dead-letter topic keeps what it was before
  const sent = (await stream.readAll(stream.topic)).filter(
    record => headerText(record, HEADER.redriveId) === repaired.redrive.id,
  )
  expect(sent.map(record => headerText(record, EDITED_HEADER))).toEqual(['true'])
  const kept = (await stream.readAll(stream.dlqTopic)).filter(record => headerText(record, HEADER.id) === id)
  expect(kept).toHaveLength(4)
  expect(new Set(kept.map(record => JSON.parse(String(record.value)).payment.amount))).toEqual(new Set(['much']))
  const history = await stream.query<{ what: string }>(
    'SELECT what FROM holdfast.dead_letter_events WHERE dead_letter_id = $1 ORDER BY id',
    [id],
  )
  expect(history.map(({ what }) => what)).toEqual([
    ...['replayed', 'failed_again', 'replayed', 'failed_again', 'replayed', 'failed_again', 'parked'],
    ...['edited', 'replayed', 'resolved'],
  ])

  // And the ledger adds up, with each redriven record in it once
  const count = (await redriven(stream)).length
  expect(count).toBe(6 + 3 * 6 + 1)
  expect(totalOf(await stream.ledger())).toMatchObject({ records: 13 + count, written: 1 + 5 + 1, stale: 1 })
  await eventually(async () => (await stream.findings({ deep: true })).length === 0, 'the proof')
  expect(await service.metric('replay_records_total', { result: 'resolved' })).toBe(7)
  expect(await service.metric('replay_records_total', { result: 'parked' })).toBe(6)

  // When they have been resolved for longer than 30 days, but for one
  await stream.query(
    `UPDATE holdfast.dead_letters SET state_changed_at = now() - CASE WHEN id = $1 THEN interval '29 days' ELSE interval '31 days' END`,
    [id],
  )
  // Then the job of the service takes those away, and their counts stay
  await runJob(stream, 'orders.retention')
  expect(await letterCounts(stream)).toEqual({ 'parked 3': 5, 'resolved 4': 1 })
  const gone = await stream.query(
    'SELECT state, pointer, letters::int, failures::int FROM holdfast.dead_letters_purged_counts',
  )
  expect(gone.every(row => row.state === 'resolved' && row.pointer === '/delivery/zip')).toBe(true)
  expect(gone.reduce((sum, row) => sum + row.letters, 0)).toBe(6)
  await eventually(async () => (await stream.findings({ deep: true })).length === 0, 'the proof without them')
})
