import { expect, it } from 'vitest'
import type { Redrive, RedrivePreview } from '#src/inbox/redrive-ports.ts'
import { brokenOrders } from '../support/broken-orders.ts'
import { holdfast, startHoldfast } from '../support/cli.ts'
import { anOrder } from '../support/orders.ts'
import { failing, letterCounts, redrives } from '../support/redrives.ts'
import { adminKeyOf, eventually, startService } from '../support/service.ts'
import { aStream, type ProducedRecord, streamTools } from '../support/stream.ts'

streamTools()

const LETTERS = 900
/** Fewer than a canary has. */
const FEW = 12
/** What is wrong with each of them. */
const CAUSE = { reason: 'schema_violation', error: 'type', pointer: '/payment/amount' }

it('after its canary, and again after a person let it go on; the live stream notices nothing', async () => {
  // Given letters that still fail, in a service whose storm guard stops a partition after few of them
  const stream = await aStream({ partitions: 3 })
  await stream.produce(brokenOrders(LETTERS))
  const env = { DLQ_STORM_MAX_CONSECUTIVE: '0', DLQ_STORM_RATIO: '0' }
  const first = await startService({ ...stream, env })
  await eventually(async () => (await stream.settled()) === LETTERS, 'them being set aside')
  expect(await first.stop()).toBe(0)
  const service = await startService({ ...stream, env: { DLQ_STORM_MAX_CONSECUTIVE: '25', DLQ_STORM_RATIO: '0' } })
  await eventually(() => service.log.some(({ event }) => event === 'jobs_started'), 'the jobs')

  // Then a preview says that none would pass
  const dry = await holdfast(stream, 'dlq', 'redrive', 'state:open', '--dry-run', '--json')
  const { check }: RedrivePreview = JSON.parse(dry.stdout).preview
  expect(check).toMatchObject({ checked: LETTERS, passing: 0, failing: LETTERS, complete: true })
  expect(check?.message).toBe(`0 of ${LETTERS} would pass now; ${LETTERS} would fail again (type /payment/amount)`)

  // When they are redriven all the same, it pauses itself after its canary, and says why
  const said = await failing(holdfast(stream, 'dlq', 'redrive', 'state:open', '--yes'))
  expect(said.code).toBe(3)
  expect(said.stdout).toContain('paused itself after the canary: 20 of 20 failed again with schema_violation type')
  const [paused] = await redrives(stream)
  const id = paused?.id ?? ''
  expect(paused).toMatchObject({
    ...{ state: 'paused', total: LETTERS, published: 20, failed_again: 20, canary: 20, verdict: null },
    paused_because: { kind: 'canary', ...CAUSE, counts: { failed_again: 20, of: 20 } },
  })
  const headers = { Authorization: `Bearer ${await adminKeyOf(service)}` }
  const shown = await fetch(`${service.url}/admin/replays/${id}`, { headers })
  expect(await shown.json()).toEqual(paused)

  // And the audit log has it as well, between what people did
  const { stdout: noted } = await holdfast(stream, 'audit', '--who', 'automatic', '--json')
  expect(JSON.parse(noted)).toMatchObject({
    what: 'replay_pause',
    because: paused?.paused_because?.message,
    counts: { replay: id },
  })

  // When a person lets it go on, it counts anew, and pauses itself when more than twenty in a row fail again
  const resumed = await failing(holdfast(stream, 'dlq', 'redrive', '--resume', id, '--json'))
  expect(resumed.code).toBe(3)
  const again: Redrive = JSON.parse(resumed.stdout)
  expect(again).toMatchObject({ state: 'paused', paused_because: { kind: 'failures', ...CAUSE } })
  expect(again.failed_again).toBeGreaterThan(20 + 20)
  expect(again.failed_again).toBeLessThan(LETTERS / 2)

  // And when it is cancelled, the others are released: open as before, and counted
  const cancelled: Redrive = JSON.parse((await holdfast(stream, 'dlq', 'cancel', id, '--yes', '--json')).stdout)
  expect(cancelled).toMatchObject({ state: 'cancelled', pending: 0, verdict: 'none' })
  expect(cancelled.released).toBe(LETTERS - again.failed_again)
  expect(await letterCounts(stream)).toEqual({ 'open 0': cancelled.released, 'open 1': again.failed_again })
  const listed = await holdfast(stream, 'dlq', 'redrives')
  // Into the store nothing is published.
  expect(listed.stdout).toMatch(/^id .* to +total +redriven +resolved /)
  expect(listed.stdout).toMatch(new RegExp(`^${id} .* cancelled .* store .* ${cancelled.released} `, 'm'))

  // Then no partition of the live stream was ever paused, and it takes what comes
  await stream.produce([...Array(3).keys()].map(partition => aGoodOrder(`live-${partition}`, partition)))
  await eventually(async () => (await stream.query('SELECT 1 FROM orders')).length === 3, 'live orders being written')
  expect(service.log.filter(({ event }) => event?.includes('paused'))).toEqual([])
  expect(await stream.query('SELECT 1 FROM holdfast.stream_progress WHERE paused_for IS NOT NULL')).toEqual([])
  await eventually(async () => (await stream.findings()).length === 0, 'the proof')
  expect(await service.stop()).toBe(0)
})

it('rests while the live stream is behind, and goes on when it has caught up', async () => {
  // Given a stream that nobody consumes just now, and an order that has waited in it for a minute
  const stream = await aStream()
  await stream.produce(brokenOrders(FEW))
  const first = await startService({ ...stream, roles: ['consumer', 'api'] })
  await eventually(async () => (await stream.settled()) === FEW, 'them being set aside')
  expect(await first.stop()).toBe(0)
  await stream.produce([{ ...aGoodOrder('waits', 0), timestampMs: Date.now() - 60_000 }])

  // When a redrive is asked for, it is looked after but rests
  const command = startHoldfast(stream, 'dlq', 'redrive', 'state:open', '--yield-above', '1s', '--yes', '--json')
  const rests = async () => (await redrives(stream))[0]?.waiting_for
  expect(await eventually(async () => (await rests()) ?? undefined, 'it resting')).toMatchObject({
    ...{ kind: 'lag', message: expect.stringContaining('it goes on below 1 s') },
  })
  expect(await redrives(stream)).toMatchObject([{ state: 'running', published: 0 }])

  // Then it goes on by itself once the stream is consumed
  await startService({ ...stream, roles: ['consumer', 'api'] })
  expect(await command.exited).toBe(1)
  expect(JSON.parse(command.said().stdout)).toMatchObject({ state: 'done', failed_again: FEW, waiting_for: null })
})

function aGoodOrder(uid: string, partition: number): ProducedRecord {
  return { key: Buffer.from(uid), value: JSON.stringify(anOrder({ uid })), partition }
}
