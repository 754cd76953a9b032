import { expect, it, vi } from 'vitest'
import { BrokerUnavailableError } from '#src/engine/errors.ts'
import { readinessOf } from '#src/engine/health.ts'
import { aPipeline, until } from '../../../support/pipeline-harness.ts'

it('says that the broker does not answer, knows of no lag meanwhile, and notices its return', async () => {
  // Given a pipeline with a partition, and a broker that answers none of its questions
  const { source, pipeline, of } = aPipeline()
  source.give(0)
  const running = pipeline.run()
  await until(() => of('assigned').length === 1, 'the assignment')
  const watermarks = vi.spyOn(source, 'watermarks').mockRejectedValue(new BrokerUnavailableError('nobody answers'))
  const kafka = () => pipeline.status().breakers.find(({ dependency }) => dependency === 'kafka')

  // Then readiness says so, and the lag is unknown, not zero
  await until(() => kafka()?.open === true, 'the breaker being open')
  const breakers = readinessOf(() => pipeline.status()).find(({ name }) => name === 'breakers')
  expect(breakers?.check()).toMatchObject({ ok: false, reason: 'breaker-open: kafka is away: nobody answers' })
  expect(pipeline.status().partitions).toMatchObject([{ partition: 0, lagRecords: undefined }])

  // And it is over when the broker answers again
  watermarks.mockRestore()
  await until(() => kafka()?.open === false, 'the breaker being closed')
  expect(of('breaker_closed')).toMatchObject([{ dependency: 'kafka' }])
  await pipeline.stop()
  await running
})

it('is not ready when it gets no assignment for a while after the loss of its partitions', async () => {
  // Given a member of the group
  const { source, pipeline } = aPipeline()
  source.give(0)
  const running = pipeline.run()
  await until(() => pipeline.status().member, 'the assignment')

  // When it loses what it has, then it is none any more; and an assignment makes it one, though it holds nothing
  await source.takeAway(0, true)
  await until(() => !pipeline.status().member, 'the loss')
  let laterMs = 0
  const checks = readinessOf(() => {
    const { memberForMs = 0, ...status } = pipeline.status()
    return { ...status, memberForMs: memberForMs + laterMs }
  })
  const member = checks.find(({ name }) => name === 'group_member')
  expect(member?.check()).toMatchObject({ ok: true })
  laterMs = 15_000
  expect(member?.check()).toMatchObject({ ok: false, since: expect.any(Number) })
  source.give()
  await until(() => pipeline.status().member, 'an empty assignment')
  expect(member?.check()).toMatchObject({ ok: true })
  await pipeline.stop()
  await running
})
