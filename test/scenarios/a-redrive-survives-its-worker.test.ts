import { expect, it } from 'vitest'
import type { Redrive } from '#src/inbox/redrive-ports.ts'
import { brokenOrders } from '../support/broken-orders.ts'
import { holdfast, startHoldfast } from '../support/cli.ts'
import { endSessions, lockPageInHand } from '../support/locks.ts'
import { failing, letterCounts, membersIn, redriven, redrives } from '../support/redrives.ts'
import { eventually, type Service, startService } from '../support/service.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'

streamTools()

/** All of these letters fail again, and where no consumer runs they stay unsettled: that is not what these are about. */
const UNGUARDED = ['--canary', '0', '--max-failures', 'off', '--yield-above', 'off'] as const

/** Dead letters, and a service that consumes but runs no jobs: whoever redrives does it himself. */
async function anInbox(count: number): Promise<{ readonly stream: Stream; readonly service: Service }> {
  const stream = await aStream({ partitions: 3 })
  await stream.produce(brokenOrders(count))
  const service = await startService({ ...stream, roles: ['consumer', 'api'] })
  await eventually(async () => (await stream.settled()) === count, 'them being set aside')
  return { stream, service }
}

it('goes on after kill -9 where it stood, and sends each member once, whether a consumer runs or not', async () => {
  // Given that nobody consumes just now: what became of a record, its settlement does not tell
  const { stream, service } = await anInbox(420)
  expect(await service.stop()).toBe(0)

  // When a redrive is killed in the middle of a page
  const worker = startHoldfast(
    stream,
    'dlq',
    'replay',
    'reason:schema_violation',
    '--limit',
    '400',
    '--to',
    'topic',
    '--rate',
    '25/s',
    ...UNGUARDED,
    '--yes',
  )
  await eventually(async () => (await membersIn(stream, 'published')) > 0, 'its first page being sent')
  // (However slowly we look, it does not get beyond the page that it cannot note.)
  const lock = await eventually(async () => {
    const held = await lockPageInHand(stream)
    if (held.rows > 0) return held
    await held.release()
    return undefined
  }, 'the next page being begun')
  await eventually(
    async () => (await redriven(stream)).length > (await membersIn(stream, 'published')) + 5,
    'a part of it being sent',
  )
  worker.kill('SIGKILL')
  expect(await worker.exited).toBe(137)
  await endSessions(stream, 'holdfast-jobs')
  await lock.release()
  const [orphan] = await redrives(stream)
  const id = orphan?.id ?? ''
  expect(orphan).toMatchObject({ state: 'running', total: 400 })
  const arrived = (await redriven(stream)).length
  expect(arrived).toBeGreaterThan(orphan?.published ?? 0)
  expect(arrived).toBeLessThan(400)

  // And somebody else wants a redrive meanwhile, he is told whose is under way
  const refused = await failing(holdfast(stream, 'dlq', 'replay', 'state:open', '--yes'))
  expect(refused.code).toBe(1)
  expect(refused.stderr).toMatch(new RegExp(`the redrive ${id} of \\S+ is running`))

  // And another process goes on with it
  const resumed = await failing(holdfast(stream, 'dlq', 'replay', '--resume', id))
  expect(resumed.code).toBe(3)
  expect(resumed.stderr).toContain('no consumer runs')
  expect(resumed.stdout).toContain('400 of 400 published; 400 wait for a consumer')

  // Then each member is in the topic once, in the order in which they first stood
  const members = await stream.query<{ id: string }>(
    'SELECT dead_letter_id AS id FROM holdfast.replay_items ORDER BY position',
  )
  const sent = await redriven(stream)
  expect(sent.map(record => record.id)).toEqual(members.map(member => member.id))
  expect(new Set(sent.map(record => record.redriveId))).toEqual(new Set([id]))

  // And has its effect once, as soon as somebody consumes again
  await startService({ ...stream, roles: ['consumer', 'api'] })
  await eventually(async () => (await stream.settled()) === 820, 'them being settled once more')
  expect(await redrives(stream)).toMatchObject([{ state: 'done', published: 400, failed_again: 400, skipped: 0 }])
  expect(await letterCounts(stream)).toEqual({ 'open 0': 20, 'open 1': 400 })
  const [failures] = await stream.query<{ sum: string }>('SELECT sum(failures) FROM holdfast.dead_letters')
  expect(Number(failures?.sum)).toBe(820)
  await eventually(async () => (await stream.findings()).length === 0, 'the ledger adding up')
})

it('keeps to its rate, is paused by Ctrl-C, goes on, and leaves the rest open when it is cancelled', async () => {
  const { stream } = await anInbox(500)

  // Given a preview, which writes nothing
  const { stdout } = await holdfast(
    stream,
    'dlq',
    'replay',
    'reason:schema_violation',
    '--limit',
    '400',
    '--dry-run',
    '--json',
  )
  expect(JSON.parse(stdout)).toEqual({
    preview: {
      count: 400,
      by_reason: { schema_violation: 400 },
      oldest: expect.any(String),
      newest: expect.any(String),
      left_out: { over_limit: 100 },
      held_by: [],
      check: expect.objectContaining({ checked: 400, passing: 0, failing: 400, complete: true }),
    },
  })
  expect(await redrives(stream)).toEqual([])
  expect(await stream.readAll(stream.topic)).toHaveLength(500)

  // When 400 of them are redriven at 50/s, it takes the eight seconds that it should, and never less; as long as the machine does not
  // stand still, each second's worth takes an eighth of a second more at most.
  // (What it takes to get ready stands before the first, whose time stamp may be late, when its producer has to connect first.)
  await failing(
    holdfast(
      stream,
      'dlq',
      'replay',
      'reason:schema_violation',
      '--limit',
      '400',
      '--to',
      'topic',
      '--rate',
      '50/s',
      ...UNGUARDED,
      '--yes',
    ),
  )
  const times = (await redriven(stream)).map(({ atMs }) => atMs)
  expect(times).toHaveLength(400)
  const [begun] = await stream.query<{ ms: number }>(
    'SELECT (extract(epoch FROM created_at) * 1000)::float8 AS ms FROM holdfast.replays',
  )
  expect(Math.max(...times) - (begun?.ms ?? 0)).toBeGreaterThan((399 / 50) * 1000)
  const inOrder = times.toSorted((a, b) => a - b)
  const secondsWorth = inOrder.slice(50).map((ms, i) => ms - (inOrder[i] ?? 0))
  expect(secondsWorth.toSorted((a, b) => a - b)[secondsWorth.length / 2]).toBeLessThan(1_125)

  // When Ctrl-C comes in the middle of the next one, which takes long enough for all that follows, it pauses and says how to go on
  const command = startHoldfast(
    stream,
    ...['dlq', 'replay', 'replays:0', '--to', 'topic', '--rate', '1/s', ...UNGUARDED, '--yes'],
  )
  await eventually(async () => (await redriven(stream)).length > 400, 'it being at work')
  command.kill('SIGINT')
  expect(await command.exited).toBe(3)
  const [paused] = await redrives(stream)
  expect(paused).toMatchObject({ state: 'paused', total: 100 })
  expect(paused?.pending).toBeGreaterThan(0)
  expect(command.said().stderr).toContain(`holdfast dlq redrive --resume ${paused?.id}`)
  expect(await redriven(stream)).toHaveLength(400 + (paused?.published ?? 0))

  // When it goes on, and somebody cancels it
  const resumed = startHoldfast(stream, 'dlq', 'replay', '--resume', paused?.id ?? '', '--json')
  const before = 400 + (paused?.published ?? 0)
  await eventually(async () => (await redriven(stream)).length > before, 'it being at work again')
  const asked = await failing(holdfast(stream, 'dlq', 'cancel', paused?.id ?? '', '--because', 'enough'))
  expect(asked).toMatchObject({ code: 2, stderr: expect.stringContaining('give --yes') })
  await holdfast(stream, 'dlq', 'cancel', paused?.id ?? '', '--because', 'enough', '--yes')
  // None was resolved, as far as that is known of those that were just published.
  expect([1, 3]).toContain(await resumed.exited)
  const cancelled = JSON.parse(resumed.said().stdout) as Redrive
  expect(cancelled).toMatchObject({ id: paused?.id, state: 'cancelled', pending: 0 })
  expect(cancelled.published).toBeGreaterThan(paused?.published ?? 0)
  expect(cancelled.published).toBeLessThan(100)

  // Then what was sent was sent once, and the rest waits as before
  const ids = (await redriven(stream)).map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
  expect(ids).toHaveLength(400 + cancelled.published)
  await eventually(async () => (await stream.settled()) === 500 + ids.length, 'it being settled')
  expect(await letterCounts(stream)).toEqual({ 'open 0': 500 - ids.length, 'open 1': ids.length })
  const log = await stream.query<{ what: string; because: string }>(
    'SELECT what, because FROM holdfast.audit_log ORDER BY id',
  )
  expect(log.map(({ what }) => what)).toEqual(['replay', 'replay', 'replay_pause', 'replay_resume', 'replay_cancel'])
  expect(log.at(-1)).toMatchObject({ because: 'enough' })
})
