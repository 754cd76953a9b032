import { existsSync, readdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { examine } from '#src/cli/doctor-checks.ts'
import { topicRights } from '#src/engine/kafka/topic-rights.ts'
import { holdfast } from '../support/cli.ts'
import { generated } from '../support/model.ts'
import { ownKafka } from '../support/own-servers.ts'
import { ask, eventually, isReady, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'

streamTools()

const PARTITIONS = 4
const EACH = 10

it('holds up none of the others, is named everywhere, and goes on by itself once it has a leader', async () => {
  // Given a broker with two disks, and a topic that is spread over them
  const kafka = await ownKafka({
    properties: {
      'log.dirs': 'data,second',
      'metadata.log.dir': 'metadata',
      'offsets.topic.num.partitions': '1',
      // It writes to each disk that often, and so notices one that is gone.
      'replica.high.watermark.checkpoint.interval.ms': '200',
    },
  })
  const stream = await aStream({ partitions: PARTITIONS, brokers: kafka.brokers })
  await stream.produce(
    generated(PARTITIONS * EACH, { seed: 31 }).map((one, i) => ({ ...one, partition: i % PARTITIONS })),
  )
  expect(await stream.committed()).toBe(0)
  // (the one that the group needs stays)
  const disks = ['data', 'second'].map(name => join(kafka.dir, name))
  await eventually(() => disks.some(disk => existsSync(join(disk, '__consumer_offsets-0'))), 'the offsets of groups')
  const disk = disks.find(path => !existsSync(join(path, '__consumer_offsets-0'))) ?? ''
  const lost = [...Array(PARTITIONS).keys()].filter(id => readdirSync(disk).includes(`${stream.topic}-${id}`))
  expect(lost.length).toBeGreaterThan(0)
  expect(lost.length).toBeLessThan(PARTITIONS)

  // When one of them goes offline, and a service starts
  renameSync(disk, `${disk}.gone`)
  const connection = { brokers: [kafka.brokers], security: {}, extra: {} }
  const leaderless = async () => (await topicRights(connection, [stream.topic]))[0]?.leaderless
  await eventually(async () => (await leaderless())?.length === lost.length, 'the broker noticing')
  const service = await startService(stream)

  // Then the partitions on the other disk flow at once
  const others = (PARTITIONS - lost.length) * EACH
  await eventually(async () => (await stream.committed()) === others, 'the others being committed')
  expect(await stream.settled()).toBe(others)

  // And those without a leader are named: by readiness, metrics, lag and doctor; a restart is not asked for
  await eventually(async () => {
    const { status, body } = await ask(service, '/readyz?verbose')
    return status === 503 && lost.every(id => body.includes(`${stream.topic}-${id} cannot be read`))
  }, 'readiness naming them')
  expect(await ask(service, '/livez')).toMatchObject({ status: 200 })
  for (const id of Array(PARTITIONS).keys()) {
    const paused = await service.metric('partition_paused', { partition: String(id), reason: 'position_unknown' })
    expect(paused).toBe(lost.includes(id) ? 1 : 0)
  }
  const lag = (await holdfast(stream, 'lag', '--json')).stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
  expect(lag.map(({ partition }) => partition)).toEqual([...Array(PARTITIONS).keys()])
  for (const { partition, lag_records, unreadable } of lag) {
    if (lost.includes(partition))
      expect([lag_records, unreadable]).toEqual([null, expect.stringMatching(/no broker leads/)])
    else expect([lag_records, unreadable]).toEqual([0, null])
  }
  const env = { KAFKA_BROKERS: kafka.brokers, KAFKA_TOPIC: stream.topic, KAFKA_DLQ_TOPIC: stream.dlqTopic }
  // (It may give up on a server that is silent for seconds, as on a busy machine.)
  await eventually(async () => {
    const found = await Array.fromAsync(examine({ ...env, DATABASE_URL: stream.databaseUrl, HTTP_PORT: '0' }))
    const named = found.find(({ name }) => name === `leaders of ${stream.topic}`)
    return lost.every(id => named?.detail.includes(`${stream.topic}-${id}`))
  }, 'doctor naming them')

  // When the disk is back, then nothing of theirs was missed
  kafka.kill('SIGKILL')
  renameSync(`${disk}.gone`, disk)
  await kafka.restart()
  await eventually(async () => (await stream.committed()) === PARTITIONS * EACH, 'all being committed')
  await eventually(() => isReady(service), 'readiness')
  expect(await stream.findings()).toEqual([])
})
