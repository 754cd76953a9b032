import { expect, it } from 'vitest'
import { holdfast } from '../support/cli.ts'
import { differences, modelOf } from '../support/model.ts'
import { ask, eventually, isReady, type Service, type ServiceOptions, startService } from '../support/service.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'
import { startTraffic } from '../support/traffic.ts'

streamTools()

const PARTITIONS = 4
// A killed process is thrown out of the group after ten seconds.
const env = { BATCH_MAX_RECORDS: '50', KAFKA_CONFIG: 'session.timeout.ms=10000,heartbeat.interval.ms=500' }

async function twoReplicas(stream: Stream): Promise<[Service, Service]> {
  const options: ServiceOptions = { ...stream, env }
  const services: [Service, Service] = [await startService(options), await startService(options)]
  await eventually(async () => (await Promise.all(services.map(isReady))).every(Boolean), 'both being ready')
  await eventually(async () => (await Promise.all(services.map(partitionsOf))).every(many => many === 2), 'two each')
  return services
}

const partitionsOf = (service: Service) =>
  service.metric('partition_paused', { reason: 'operator' }).then(async () => {
    const page = await ask(service, '/metrics')
    return page.body.split('\n').filter(line => /^holdfast_partition_paused\{.*reason="operator"/.test(line)).length
  })

const pausedOn = (service: Service, partition: number) =>
  service.metric('partition_paused', { partition: String(partition), reason: 'operator' })

async function progressOf(stream: Stream): Promise<bigint[]> {
  const rows = await stream.query<{ next_offset: string }>(
    'SELECT next_offset FROM holdfast.stream_progress ORDER BY partition',
  )
  return rows.map(({ next_offset }) => BigInt(next_offset))
}

async function allFlow(stream: Stream, partitions: number, beyond: bigint): Promise<void> {
  await eventually(async () => {
    const all = await progressOf(stream)
    return all.length === partitions && all.every(next => next > beyond)
  }, 'all partitions flowing')
}

/** Waits until the other partitions have moved on by so many records, as the measure of a time under load. */
async function othersGoOn(stream: Stream, held: number, records = 200n): Promise<void> {
  const sum = (all: readonly bigint[]) => all.reduce((total, next, at) => (at === held ? total : total + next), 0n)
  const before = sum(await progressOf(stream))
  await eventually(async () => sum(await progressOf(stream)) >= before + records, 'the other partitions going on')
}

it('a pause holds one partition under load, over kill -9 and a rebalance, and loses nothing', async () => {
  const stream = await aStream({ partitions: PARTITIONS })
  const [first, second] = await twoReplicas(stream)
  const traffic = startTraffic(stream, 20, 100, { seed: 14, updatesRatio: 0.3 })
  await allFlow(stream, PARTITIONS, 0n)

  // When an operator pauses partition 2, its owner settles what it has in hand, and then nothing more
  const pausing = await holdfast(stream, 'pause', '--partition', '2', '--because', 'a drill', '--as', 'ada', '--json')
  expect(JSON.parse(pausing.stdout)).toMatchObject({ partition: 2, by: 'ada', because: 'a drill', whole_stream: false })
  const owner = await eventually(async () => {
    for (const service of [first, second]) if ((await pausedOn(service, 2)) === 1) return service
    return undefined
  }, 'the pause taking effect')
  const at = await eventually(async () => {
    const before = (await progressOf(stream))[2]
    await othersGoOn(stream, 2)
    return (await progressOf(stream))[2] === before && before
  }, 'its standing still')
  expect(owner.log.filter(({ event }) => event === 'ownership_lost')).toEqual([])

  // Then it is named everywhere, and nothing is called unready or dead for it
  const ready = await ask(owner, '/readyz?verbose')
  expect([ready.status, ready.body]).toEqual([200, expect.stringContaining('partition 2 is paused by ada since')])
  expect((await ask(owner, '/livez')).status).toBe(200)
  const rows = (await holdfast(stream, 'lag', '--json')).stdout.trim().split('\n')
  expect(rows.map(row => JSON.parse(row))[2]).toMatchObject({
    paused_for: 'operator',
    paused_because: 'a drill',
    operator_pause: { by: 'ada', whole_stream: false },
  })
  expect((await holdfast(stream, 'lag')).stdout).toContain('operator: a drill (by ada, since ')
  await expect(holdfast(stream, 'pause', '--partition', '2', '--because', 'x')).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining('partition 2 is paused by ada'),
  })
  await expect(holdfast(stream, 'pause', '--partition', '9', '--because', 'x')).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining('has not begun partition 9'),
  })

  // And its owner is killed, so that another one gets the partition: it stays where it is, and the others go on
  owner.kill('SIGKILL')
  await owner.exited
  const other = owner === first ? second : first
  await eventually(async () => (await partitionsOf(other)) === PARTITIONS, 'the other one having all partitions')
  const third = await startService({ ...stream, env })
  await eventually(async () => (await pausedOn(third, 2)) + (await pausedOn(other, 2)) === 1, 'one of them holding it')
  await othersGoOn(stream, 2)
  expect((await progressOf(stream))[2]).toBe(at)

  // When it is resumed, all is settled, and each offset is accounted for
  const resumed = await holdfast(stream, 'resume', '--partition', '2', '--because', 'the drill is over', '--as', 'ben')
  expect(resumed.stdout).toContain('partition 2 resumed (paused by an operator)')
  await traffic.stop()
  await eventually(async () => (await stream.settled()) === traffic.sent.length, 'all of it')
  await eventually(async () => (await stream.committed()) === traffic.sent.length, 'the commits')
  expect(await differences(stream, modelOf(traffic.sent))).toEqual([])
  expect(await stream.findings()).toEqual([])
  const { stdout } = await holdfast(stream, 'audit', '--json', '--what', 'pause,resume')
  const entries = stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
  expect(entries.map(({ who, what, because }) => [who, what, because])).toEqual([
    ['ben', 'resume', 'the drill is over'],
    ['ada', 'pause', 'a drill'],
  ])
  expect([await third.stop(), await other.stop()]).toEqual([0, 0])
})

it('a pause of the stream holds partitions that come later, and the way on is one command', async () => {
  const stream = await aStream({ partitions: 2 })
  await holdfast(stream, 'pause', '--because', 'before anything runs', '--as', 'ada')
  const records = Array.from({ length: 20 }, (_, i) => ({ value: '{}', partition: i % 2 }))
  await stream.produce(records)
  const service = await startService({ ...stream, env })
  await eventually(async () => (await pausedOn(service, 0)) + (await pausedOn(service, 1)) === 2, 'both being held')
  const ready = await eventually(async () => {
    const answer = await ask(service, '/readyz?verbose')
    return answer.status === 200 && answer.body
  }, 'its being ready')
  expect(ready).toContain('the stream is paused by ada since')
  expect(await stream.settled()).toBe(0)
  await expect(holdfast(stream, 'resume', '--partition', '0')).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining('the whole stream is paused by ada'),
  })
  await holdfast(stream, 'resume')
  await eventually(async () => (await stream.settled()) === records.length, 'all of it')
  expect(await stream.findings()).toEqual([])
  expect(await service.stop()).toBe(0)
})

it('seek moves a partition of a running service under load, to a time and to the start: nothing is lost or done twice', async () => {
  const stream = await aStream({ partitions: PARTITIONS })
  const [first, second] = await twoReplicas(stream)
  const traffic = startTraffic(stream, 20, 100, { seed: 15, updatesRatio: 0.3 })
  await allFlow(stream, PARTITIONS, 50n)
  const time = new Date().toISOString()
  // (All that is in the topic by now may wait behind a pause of the service: what it settles beyond that came later.)
  const ends = (await stream.readAll(stream.topic)).filter(({ partition }) => partition === 1).length
  await eventually(async () => ((await progressOf(stream))[1] ?? 0n) > ends + 50, 'partition 1 being beyond that time')

  // When partition 1 is moved to that time, and partition 2 to its start
  const seek = async (partition: number, to: string) => {
    const why = ['--because', 'read again', '--as', 'ada', '--json']
    return JSON.parse((await holdfast(stream, 'seek', '--partition', String(partition), '--to', to, ...why)).stdout)
  }
  const toTime = await seek(1, time)
  const toStart = await seek(2, 'earliest')
  expect(Number(toTime.to)).toBeGreaterThan(50)
  expect(Number(toTime.from)).toBeGreaterThan(Number(toTime.to))
  expect([toStart.to, Number(toStart.from) > 0]).toEqual(['0', true])
  // (The first record at that time or after it, by its own timestamp.)
  const stored = (await stream.readAll(stream.topic)).filter(({ partition }) => partition === 1)
  const expected = stored.find(({ timestampMs }) => timestampMs >= Date.parse(time))
  expect(toTime.to).toBe(String(expected?.offset))

  // Then the ledger has both, they are read again, and the rest goes on
  await traffic.stop()
  await eventually(async () => (await stream.settled()) === traffic.sent.length, 'all of it being settled')
  await eventually(async () => (await stream.committed()) === traffic.sent.length, 'the commits')
  const moves = (await stream.ledger()).filter(({ skipped }) => skipped !== 0)
  expect(moves.map(({ partition, from, to }) => [partition, String(from), String(to)]).sort()).toEqual([
    [1, toTime.from, toTime.to],
    [2, toStart.from, '0'],
  ])
  expect(await differences(stream, modelOf(traffic.sent))).toEqual([])
  expect(await stream.findings({ deep: true })).toEqual([])
  const audited = await stream.query(`SELECT who, counts FROM holdfast.audit_log WHERE what = 'seek' ORDER BY id`)
  expect(audited).toEqual([
    { who: 'ada', counts: { from: toTime.from, to: toTime.to } },
    { who: 'ada', counts: { from: toStart.from, to: '0' } },
  ])
  // What was in flight was settled, and not dropped at the fence.
  for (const { log } of [first, second]) expect(log.filter(({ event }) => event === 'ownership_lost')).toEqual([])

  // And a time that no record has is refused, with the end
  await expect(
    holdfast(stream, 'seek', '--partition', '1', '--to', '2999-01-01T00:00:00Z', '--because', 'x'),
  ).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringMatching(
      /holds no record of 2999-01-01T00:00:00Z or later: it ends at offset \d+.*--to latest/,
    ),
  })
  expect([await first.stop(), await second.stop()]).toEqual([0, 0])
})

it('a crash of the owner between request and move leaves the old position, until the next owner carries it out', async () => {
  // Given two processes and one partition. (Where the group has no member, the command moves it by itself.)
  const stream = await aStream({ partitions: 1 })
  // (So long that the owner is still a member when the request comes.)
  const patient = { ...env, KAFKA_CONFIG: 'session.timeout.ms=30000,heartbeat.interval.ms=500' }
  const services = [await startService({ ...stream, env: patient }), await startService({ ...stream, env: patient })]
  await eventually(async () => (await Promise.all(services.map(isReady))).every(Boolean), 'both being ready')
  const traffic = startTraffic(stream, 20, 100, { seed: 16, updatesRatio: 0.3 })
  await allFlow(stream, 1, 50n)
  const shares = await eventually(async () => {
    const counts = await Promise.all(services.map(partitionsOf))
    return counts.toSorted().join() === '0,1' && counts
  }, 'one of them having the partition')
  const [first, second] = shares[0] === 1 ? services : services.toReversed()
  if (first === undefined || second === undefined) throw new RangeError('there are not two services')

  // And an owner that does not answer any more, as a request comes
  first.kill('SIGSTOP')
  const moving = holdfast(stream, 'seek', '--partition', '0', '--to', 'earliest', '--because', 'x', '--json')
  moving.catch(() => {})
  await eventually(async () => (await stream.query('SELECT 1 FROM holdfast.stream_moves')).length === 1, 'the request')
  const [before = 0n] = await progressOf(stream)

  // When it is killed, the position is the old one, and the next owner moves it
  first.kill('SIGKILL')
  await first.exited
  expect((await progressOf(stream))[0]).toBe(before)
  const moved = JSON.parse((await moving).stdout)
  expect([moved.to, BigInt(moved.from) >= before], 'it may have gone on a little before it was told').toEqual([
    '0',
    true,
  ])
  const moves = () => second.log.filter(({ event }) => event === 'moved')
  await eventually(() => moves().length > 0, 'the log telling of it')
  expect(moves()).toMatchObject([{ partition: 0, from: moved.from, to: '0' }])
  await traffic.stop()
  await eventually(async () => (await stream.settled()) === traffic.sent.length, 'all of it')
  await eventually(async () => (await stream.committed()) === traffic.sent.length, 'the commits')
  expect(await differences(stream, modelOf(traffic.sent))).toEqual([])
  expect(await stream.findings()).toEqual([])
  expect(await second.stop()).toBe(0)
})
