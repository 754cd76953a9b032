import { expect, it } from 'vitest'
import { holdfast } from '../support/cli.ts'
import { differences, generated, modelOf } from '../support/model.ts'
import { runJob } from '../support/run-job.ts'
import { eventually, startService } from '../support/service.ts'
import { aStream, type Stream, streamTools, totalOf } from '../support/stream.ts'

streamTools()

const PARTITIONS = 3
const HOURS = 3
const STEP_MINUTES = 5
const STEPS = (HOURS * 60) / STEP_MINUTES
const RECORDS_A_STEP = 9

/** The clock is shortened: everything that the ledger holds was settled so much earlier. */
async function passes(stream: Stream, minutes: number): Promise<void> {
  await stream.query(
    `UPDATE holdfast.stream_ledger SET settled_at = settled_at - make_interval(mins => $1), since = since - make_interval(mins => $1)`,
    [minutes],
  )
}

it('a trickle of three hours leaves a row for each hour, of which a day later one for each day is left, and each proof holds', async () => {
  // Given records that come one after the other, for three hours, some of them invalid
  const stream = await aStream({ partitions: PARTITIONS })
  const service = await startService(stream)
  await eventually(() => service.log.some(({ event }) => event === 'jobs_started'), 'the jobs')
  const records = generated(STEPS * RECORDS_A_STEP, { seed: 317, invalidRatio: 0.02, updatesRatio: 0.2 })
  for (let step = 0; step < STEPS; step++) {
    const from = step * RECORDS_A_STEP
    for (const [nth, record] of records.slice(from, from + RECORDS_A_STEP).entries()) {
      await stream.produce([{ ...record, partition: nth % PARTITIONS }])
    }
    await eventually(async () => (await stream.settled()) === from + RECORDS_A_STEP, `step ${step} being settled`)
    await passes(stream, STEP_MINUTES)
  }

  // Then each hour of a partition has a row, and the last one may have begun another
  const rows = await stream.ledger()
  expect(rows.length).toBeGreaterThanOrEqual(PARTITIONS * HOURS)
  expect(rows.length).toBeLessThanOrEqual(PARTITIONS * (HOURS + 1))
  const total = totalOf(rows)
  expect(total).toMatchObject({ offsets: records.length, records: records.length })
  expect(await stream.findings()).toEqual([])

  // When a proof leaves its checkpoint, a day passes, further records arrive, and the job of the running service comes to its turn
  await holdfast(stream, 'verify')
  await passes(stream, 24 * 60)
  const more = generated(30, { seed: 318 })
  for (const [nth, record] of more.entries()) await stream.produce([{ ...record, partition: nth % PARTITIONS }])
  await eventually(async () => (await stream.settled()) === records.length + more.length, 'the rest being settled')
  // (Where that of the hour came before it, it has merged a part.)
  await runJob(stream, 'orders.ledger-merge')

  // Then one row a day is left of what the checkpoint knows (three hours may be of two days), the row behind it, and one of today
  const merged = await stream.ledger()
  const gone = () =>
    service.log.filter(({ event }) => event === 'ledger_merged').reduce((sum, job) => sum + Number(job.rows), 0)
  await expect.poll(() => merged.length + gone()).toBe(rows.length + PARTITIONS)
  expect(merged.length).toBeLessThanOrEqual(PARTITIONS * 3 + PARTITIONS)
  expect(totalOf(merged)).toMatchObject({ offsets: records.length + more.length, dead_lettered: total.dead_lettered })
  expect(await differences(stream, modelOf([...records, ...more]))).toEqual([])

  // And the proof holds from the start as from the checkpoint
  const { stdout } = await holdfast(stream, 'verify', '--json')
  expect(JSON.parse(stdout)).toMatchObject({ verify: 'ok', kind: 'checkpoint' })
  expect(await stream.findings({ deep: true })).toEqual([])
})
