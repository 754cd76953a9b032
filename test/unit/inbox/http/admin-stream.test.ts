import { describe, expect, it } from 'vitest'
import { systemClock } from '#src/clock.ts'
import { StoreUnavailableError } from '#src/engine/errors.ts'
import type { StreamStatus } from '#src/engine/status.ts'
import { createStreamOverview, type OverviewParts } from '#src/inbox/http/stream-overview.ts'
import type { StoredStream } from '#src/inbox/stream-ports.ts'
import { adminStandIn } from '../../../support/admin-stand-in.ts'
import { answerOf, bearer, startAdmin } from './admin-support.ts'

const NOW = 1_700_000_000_000
const STORED: Pick<StoredStream, 'partitions' | 'rate' | 'deadLetters'> = {
  partitions: async () => [
    { partition: 0, next: 90n, pausedFor: undefined, pausedBecause: undefined, lastProgressMs: NOW - 1_000 },
    { partition: 1, next: 5n, pausedFor: 'storm_guard', pausedBecause: 'too many', lastProgressMs: NOW - 60_000 },
  ],
  rate: async () => 250.04,
  deadLetters: async () => ({
    ...{ open: new Map([['too_large', 2]]), parked: 1, oldestFailedAtMs: NOW - 90_000 },
    attention: new Map([['regressed', 1]]),
  }),
}
const STATUS: StreamStatus = {
  state: 'running',
  member: true,
  breakers: [
    { dependency: 'postgres', open: true, reason: 'no connection', sinceMs: NOW - 5_000 },
    { dependency: 'kafka', open: false, reason: undefined, sinceMs: undefined },
  ],
  partitions: [
    {
      ...{ topic: 'orders', partition: 0, next: 100n, high: 110n, lagRecords: 10, bufferedRecords: 10 },
      ...{ oldestUnsettledTimestampMs: NOW - 4_500, inFlightRecords: 0, paused: ['store_away'], lastProgressMs: NOW },
      ...{ pausedSinceMs: NOW - 5_000, stalledMs: 1_500, contended: { reason: 'lock timeout', sinceMs: NOW } },
    },
  ],
}

function overview(parts: Partial<OverviewParts> = {}) {
  return createStreamOverview({
    ...{ topic: 'orders', groupId: 'holdfast', status: () => STATUS, consumes: true, stored: STORED, ready: [] },
    automatic: { status: async () => ({ on: false, changed_by: null, changed_at: null, next_run: null }) },
    ends: () => new Map(),
    clock: { ...systemClock, now: () => NOW },
    ...parts,
  }).overview()
}

describe('the stream at a glance', () => {
  it('is what this process has in hand, and of other partitions what the database knows', async () => {
    expect(await overview()).toMatchObject({
      ...{ state: 'running', rate: 250, lag_records: 10, lag_seconds: 4.5 },
      breakers: [{ dependency: 'postgres', open: true, reason: 'no connection' }, { open: false }],
      partitions: [
        {
          partition: 0,
          here: true,
          next: '100',
          high: '110',
          lag_seconds: 4.5,
          paused: ['store_away'],
          stalled_seconds: 1.5,
          contended: 'lock timeout',
        },
        {
          partition: 1,
          here: false,
          next: '5',
          high: null,
          lag_seconds: null,
          paused: ['storm_guard'],
          paused_because: 'too many',
        },
      ],
      dead_letters: {
        ...{ open: 2, by_reason: { too_large: 2 }, parked: 1, oldest_age_seconds: 90 },
        attention: { regressed: 1 },
      },
    })
  })

  it('tells the lag of partitions that others have by where Kafka says that they end', async () => {
    const asked: (readonly number[])[] = []
    const ends = (end: bigint) => (partitions: readonly number[]) => {
      asked.push(partitions)
      return new Map([[1, end]])
    }
    const behind = await overview({ ends: ends(12n) })
    expect(behind.partitions[1]).toMatchObject({ next: '5', high: '12', lag_records: 7, lag_seconds: null })
    expect(behind.lag_records).toBe(17)
    expect(asked, 'of no other').toEqual([[1]])
    const [, settled] = (await overview({ ends: ends(3n) })).partitions
    expect(settled).toMatchObject({ next: '5', high: '5', lag_records: 0, lag_seconds: 0 })
  })

  it('never ends before what is settled, though the broker tells of its end later', async () => {
    const [partition] = STATUS.partitions
    if (partition === undefined) throw new Error('there is one')
    const settled = { high: 90n, lagRecords: 0, oldestUnsettledTimestampMs: undefined, bufferedRecords: 0 }
    const status = () => ({ ...STATUS, partitions: [{ ...partition, ...settled }] })
    expect((await overview({ status })).partitions[0]).toMatchObject({ next: '100', high: '100', lag_seconds: 0 })
  })

  it('never ends below the next offset, and says how old the broker’s last word is', async () => {
    const [partition] = STATUS.partitions
    if (partition === undefined) throw new Error('there is one')
    const old = { high: 90n, lagRecords: undefined, highKnownAtMs: NOW - 45_000 }
    const status = () => ({ ...STATUS, partitions: [{ ...partition, ...old }] })
    const [told] = (await overview({ status })).partitions
    expect(told).toMatchObject({ next: '100', high: '100', lag_records: null, high_age_seconds: 45 })
    const fresh = () => ({ ...STATUS, partitions: [{ ...partition, highKnownAtMs: NOW - 1_000 }] })
    expect((await overview({ status: fresh })).partitions[0]).not.toHaveProperty('high_age_seconds')
  })

  it('says so where the process does not consume', async () => {
    const { state, partitions, lag_records } = await overview({ status: () => undefined, consumes: false })
    expect([state, partitions.map(({ here }) => here), lag_records]).toEqual(['elsewhere', [false, false], null])
  })

  it('is told also while the database is away, as far as it is known', async () => {
    const away = async () => {
      throw new StoreUnavailableError('no connection')
    }
    const stored = { partitions: away, rate: away, deadLetters: away }
    const told = await overview({ stored, automatic: { status: away } })
    expect(told).toMatchObject({ state: 'running', rate: null, dead_letters: null, automatic_redrive: null })
    expect(told.partitions).toHaveLength(1)
    expect(told.age_seconds).toEqual({ rate: null, partitions: null, dead_letters: null, automatic_redrive: null })
  })

  it('does not wait for a database that says nothing, tells what that told before with its age, and says for how long', async () => {
    // Given a database that has answered once, and then answers no more
    let silent = false
    let nowMs = 1_000
    let waitedMs = 0
    const unlessSilent = <T>(value: T) => (silent ? new Promise<T>(() => {}) : Promise.resolve(value))
    const stored = {
      ...STORED,
      partitions: async () => unlessSilent(await STORED.partitions()),
      rate: async () => unlessSilent(250),
      deadLetters: async () => unlessSilent(await STORED.deadLetters()),
    }
    const status = { on: true, changed_by: 'ada', changed_at: null, next_run: null }
    const source = createStreamOverview({
      ...{ topic: 'orders', groupId: 'holdfast', status: () => STATUS, consumes: true, stored, ready: [] },
      automatic: { status: () => unlessSilent(status) },
      ends: () => new Map(),
      clock: {
        now: () => NOW,
        monotonic: () => nowMs,
        async sleep(ms, signal) {
          if (silent) waitedMs += ms
          await systemClock.sleep(ms, signal)
        },
      },
    })
    expect(await source.overview()).toMatchObject({ rate: 250, age_seconds: { rate: 0 }, store_silent_seconds: 0 })
    silent = true
    nowMs += 2_000
    await source.overview()
    nowMs += 40_000

    // When it is asked again
    const told = await source.overview()

    // Then it answers at once: what the process knows as it is, the rest as it was, with its age
    expect(waitedMs).toBeLessThan(1_000)
    expect(told).toMatchObject({ lag_seconds: 4.5, rate: 250, dead_letters: { open: 2 }, automatic_redrive: status })
    expect(told.age_seconds).toEqual({ rate: 42, partitions: 42, dead_letters: 42, automatic_redrive: 42 })
    expect([told.store_silent_seconds, source.storeSilentMs()]).toEqual([40, 40_000])
  })

  it('takes one slow question for no silence while the others are answered', async () => {
    const deadLetters = () => new Promise<never>(() => {})
    const told = await overview({ stored: { ...STORED, deadLetters } })
    expect(told).toMatchObject({ rate: 250, dead_letters: null, store_silent_seconds: 0 })
  })

  it('hides no bug behind that', async () => {
    const rate = async () => {
      throw new TypeError('ours')
    }
    await expect(overview({ stored: { ...STORED, rate } })).rejects.toThrow('ours')
  })

  it('is served, with the checks of readiness', async () => {
    await using service = await startAdmin()
    const { status, body } = await answerOf(service.ask('/admin/stream'))
    expect([status, body.topic, body.state, body.partitions.length]).toEqual([200, 'orders', 'elsewhere', 3])
  })
})

describe('an operator', () => {
  it('lifts a pause, with the reason', async () => {
    await using service = await startAdmin()
    expect((await service.post('/admin/stream/resume', { partition: 2 })).status).toBe(400)
    const answer = await answerOf(service.post('/admin/stream/resume', { partition: 2, because: 'producer fixed' }))
    expect(answer.body).toEqual({
      lifted: [{ partition: 2, paused_for: 'storm_guard', dead_letters_in_a_row: 1_000 }],
      remaining: [],
    })
    expect(service.inbox.log).toMatchObject([{ who: 'chief', what: 'resume', because: 'producer fixed' }])
  })

  it('pauses a partition or the stream with the reason, and is told who has done so before', async () => {
    await using service = await startAdmin()
    for (const body of [
      { partition: 1 },
      { because: ' ' },
      { because: 'x', partition: -1 },
      { because: 'x', lift: 'all' },
    ]) {
      expect((await service.post('/admin/stream/pause', body)).status, JSON.stringify(body)).toBe(400)
    }
    const made = await answerOf(service.post('/admin/stream/pause', { partition: 1, because: 'a drill' }))
    const pause = { by: 'chief', because: 'a drill', since: expect.stringMatching(/Z$/), whole_stream: false }
    expect(made).toEqual({ status: 200, body: { paused: { partition: 1, ...pause } } })
    const shown = (await answerOf(service.ask('/admin/stream'))).body.partitions
    expect(shown[1]).toMatchObject({ partition: 1, paused: ['operator'], operator_pause: pause })
    expect(shown[0]).not.toHaveProperty('operator_pause')
    const again = await answerOf(service.post('/admin/stream/pause', { partition: 1, because: 'x' }))
    expect(again).toMatchObject({ status: 409, body: { code: 'already_paused' } })
    const unknown = await answerOf(service.post('/admin/stream/pause', { partition: 9, because: 'x' }))
    expect(unknown).toMatchObject({ status: 404, body: { code: 'no_such_partition' } })

    // Both kinds are in force: neither is lifted by accident
    const both = await answerOf(service.post('/admin/stream/resume', { because: 'x' }))
    expect(both).toMatchObject({ status: 409, body: { code: 'two_pauses' } })
    const lifted = await answerOf(service.post('/admin/stream/resume', { because: 'over', lift: 'operator' }))
    expect(lifted.body).toEqual({
      lifted: [{ partition: 1, paused_for: 'operator', dead_letters_in_a_row: 0 }],
      remaining: [],
    })
    expect((await service.get('/admin/stream/pause', { method: 'POST', headers: bearer('writer') })).status).toBe(403)
  })

  it('switches the automatic redrive', async () => {
    await using service = await startAdmin()
    const answer = await answerOf(service.post('/admin/automatic-redrive', { on: true }))
    expect(answer.body).toMatchObject({ on: true, changed_by: 'chief' })
    expect((await answerOf(service.ask('/admin/stream'))).body.automatic_redrive).toEqual(answer.body)
    expect((await service.post('/admin/automatic-redrive', { on: 'yes' })).status).toBe(400)
  })

  it('reads what operators did, page by page', async () => {
    await using service = await startAdmin()
    service.inbox.add()
    for (const on of [true, false, true]) await service.post('/admin/automatic-redrive', { on, because: `step ${on}` })
    const first = (await answerOf(service.ask('/admin/audit?limit=2'))).body
    expect([first.audit.length, first.next]).toEqual([2, '2'])
    const last = (await answerOf(service.ask(`/admin/audit?limit=2&before=${first.next}`))).body
    expect(last).toMatchObject({ audit: [{ id: '1', who: 'chief', what: 'automatic_redrive' }], next: null })
  })

  it('asks for some of it, by the names that the command line has', async () => {
    await using service = await startAdmin()
    service.inbox.add()
    await service.post('/admin/automatic-redrive', { on: true, because: 'a drill' })
    await service.post('/admin/stream/resume', { partition: 2, because: 'producer fixed' })
    const found = async (query: string) =>
      (await answerOf(service.ask(`/admin/audit?${query}`))).body.audit.map(({ what }: { what: string }) => what)
    expect(await found('what=resume')).toEqual(['resume'])
    expect(await found('who=chief,ben&what=automatic%20redrive')).toEqual(['automatic_redrive'])
    expect(await found('who=ben')).toEqual([])
    expect(await found('until=2001-01-01')).toEqual([])
    for (const [query, detail] of [
      ['since=someday', 'since must be a time'],
      ['what=Drop%3B', 'what must be an action'],
      ['who=', undefined],
      ['who=ada,,ben', 'who must be a name'],
      ['who=a&who=b', 'who may be given only once'],
    ] as const) {
      const { status, body } = await answerOf(service.ask(`/admin/audit?${query}`))
      if (detail === undefined) expect(status, query).toBe(200)
      else expect([status, body.code, body.detail], query).toEqual([400, 'bad_query', expect.stringContaining(detail)])
    }
  })
})

describe('of several streams', () => {
  async function two() {
    const orders = adminStandIn()
    const base = adminStandIn()
    const returns = { ...base, stream: { ...base.stream, name: 'returns' } }
    orders.add({ key: 'an-order' })
    base.add({ id: 'returns-0-0', key: 'a-return' })
    const service = await startAdmin({ admin: [orders, returns] })
    return { ...service, [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](), returns: base }
  }

  it('each is asked for by its name, and the first without one', async () => {
    await using service = await two()
    const keys = async (query: string) =>
      (await answerOf(service.ask(`/admin/dead-letters${query}`))).body.dead_letters.map(
        (row: { key: string }) => row.key,
      )
    expect(await keys('')).toEqual(['an-order'])
    expect(await keys('?stream=orders')).toEqual(['an-order'])
    expect(await keys('?stream=returns&q=state:open')).toEqual(['a-return'])
    expect((await service.ask('/admin/dead-letters/returns-0-0')).status).toBe(404)
    expect((await service.ask('/admin/dead-letters/returns-0-0?stream=returns&masked=true')).status).toBe(200)
  })

  it('a redrive begins in the one that was named, and its address says so', async () => {
    await using service = await two()
    const started = await service.post('/admin/replays?stream=returns', { q: 'state:open' })
    expect([started.status, service.returns.running.size]).toEqual([201, 1])
    const location = started.headers.get('Location') ?? ''
    expect(location).toMatch(/^\/admin\/replays\/\w+\?stream=returns$/)
    expect((await service.ask(location)).status).toBe(200)
    expect((await service.ask(location.replace('?stream=returns', ''))).status).toBe(404)
  })

  it.each(['?stream=nothing', '?stream=orders&stream=returns'])('there is no other: %s', async query => {
    await using service = await two()
    for (const path of ['/admin/dead-letters', '/admin/stream', '/admin/replays', '/admin/audit']) {
      expect(await answerOf(service.ask(path + query))).toMatchObject({
        status: 400,
        body: { code: 'no_such_stream', detail: 'stream must be one of orders, returns, and stand once.' },
      })
    }
    // Names of streams are told to those only who may look at them.
    expect((await service.get(`/admin/stream${query}`)).status).toBe(401)
  })
})
