import { isDeepStrictEqual } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { systemClock } from '#src/clock.ts'
import { startJobs } from '#src/inbox/jobs/jobs.ts'
import { createRedriveWorker } from '#src/inbox/jobs/redrive-worker.ts'
import { createAutomaticRedrive } from '#src/inbox/postgres/automatic-redrive.ts'
import { createRedriveStore } from '#src/inbox/postgres/redrive-work.ts'
import { createRedrives } from '#src/inbox/postgres/redrives.ts'
import { NO_GUARD } from '#src/inbox/redrive-guard.ts'
import type { RedriveRequest, Redrives } from '#src/inbox/redrive-ports.ts'
import type { JobFact, RedriveSettlement } from '#src/inbox/redrive-work.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { aFakeRedriveTopic, fakeLetterRecords } from '../support/fake-redrive-topic.ts'
import { insertLetters } from '../support/letters.ts'
import { eventually } from '../support/service.ts'

/** Jobs on a real pg-boss; the topic is a stand-in. */

const BY = { who: 'ada', because: 'a test' }
const ALL: RedriveRequest = {
  filter: { terms: [] },
  rate: undefined,
  limit: undefined,
  to: 'topic',
  onlyPassing: false,
  edited: undefined,
  automatic: false,
  // Nobody settles what is published here.
  guard: NO_GUARD,
}

/** Redrives of this test go to the topic. */
const NO_SETTLEMENT: RedriveSettlement = { settle: () => Promise.reject(new Error('nothing goes into the store')) }

interface Process {
  readonly facts: readonly JobFact[]
  /** How many records had arrived when it parted with a redrive: another process may go on at once. */
  readonly arrivedAtParting: () => number
  stop(): Promise<void>
}

interface World {
  readonly database: MigratedDatabase
  readonly redrives: Redrives
  readonly arrived: () => readonly string[]
  readonly purges: () => number
  /** A process that runs jobs. */
  start(): Process
}

async function aWorld(): Promise<World> {
  const database = await migratedDatabase()
  const { pool } = database
  onTestFinished(() => database[Symbol.asyncDispose]())
  const fake = aFakeRedriveTopic()
  let purges = 0
  const redrives = createRedrives({ pool, stream: 'orders', topic: 'orders', check: async function* () {} })
  return {
    database,
    redrives,
    arrived: () => fake.arrived,
    purges: () => purges,
    start() {
      const facts: JobFact[] = []
      let arrivedAtParting = 0
      const store = createRedriveStore(pool, { stream: 'orders', topic: 'orders' })
      const common = {
        observer: {
          observe(fact: JobFact) {
            facts.push(fact)
            if (fact.kind === 'replay_parted') arrivedAtParting = fake.arrived.length
          },
        },
        clock: systemClock,
        random: Math.random,
      }
      const jobs = startJobs({
        stream: 'orders',
        database: { schema: 'pgboss', executeSql: (text, values) => pool.query(text, values) },
        store,
        stopTimeoutMs: 10_000,
        worker: createRedriveWorker({
          crashLoopMaxStarts: 5,
          store,
          settlement: NO_SETTLEMENT,
          topic: fake.topic,
          records: fakeLetterRecords,
          lag: async () => undefined,
          ...common,
        }),
        scheduled: {
          redrives,
          automatic: createAutomaticRedrive({ pool, stream: 'orders', preset: true, now: Date.now }),
          automaticDelaysMs: [60_000],
          purge: async () => ++purges,
          purgeOperators: async () => ({ audit: 2, redrives: 1 }),
          mergeLedger: async () => 7,
        },
        ...common,
      })
      const stop = async () => jobs[Symbol.asyncDispose]()
      onTestFinished(stop)
      return { facts, arrivedAtParting: () => arrivedAtParting, stop }
    },
  }
}

/** Records a second, of a redrive that takes a few. */
const RATE = 100

async function haveStarted(...processes: readonly { readonly facts: readonly JobFact[] }[]): Promise<void> {
  const isThere = ({ facts }: (typeof processes)[number]) => facts.some(({ kind }) => kind === 'jobs_started')
  await eventually(() => processes.every(isThere), 'the jobs being started')
}

const troubles = ({ facts }: { readonly facts: readonly JobFact[] }) =>
  facts.filter(fact => fact.kind === 'jobs_trouble' || fact.kind === 'job_failed')

it('works on a redrive that was asked for before or after it came, one process at a time', async () => {
  const { database, redrives, arrived, start } = await aWorld()
  await insertLetters(
    database.pool,
    Array.from({ length: 30 }, (_, n) => ({ source_offset: n, source_partition: n % 3 })),
  )
  const first = await redrives.start({ ...ALL, limit: 10 }, BY)
  // Given two processes that start at once on a database that knows no queue
  const processes = [start(), start()]
  await eventually(async () => (await redrives.get(first.id))?.state === 'done', 'the first being done')
  expect(arrived()).toHaveLength(10)
  const second = await redrives.start(ALL, BY)
  await eventually(async () => (await redrives.get(second.id))?.state === 'done', 'the second being done')
  expect(arrived()).toHaveLength(30)
  expect(new Set(arrived())).toHaveLength(30)
  for (const process of processes) {
    await haveStarted(process)
    expect(troubles(process)).toEqual([])
  }
  const epochs = processes.flatMap(({ facts }) =>
    facts.flatMap(fact => (fact.kind === 'replay_taken' ? [fact.epoch] : [])),
  )
  expect(epochs).toEqual([1, 1])
})

it('lets go when its process stops, and another one goes on', async () => {
  const { database, redrives, arrived, start } = await aWorld()
  await insertLetters(
    database.pool,
    Array.from({ length: 300 }, () => ({})),
  )
  // Given two processes, one of which has it
  const processes = [start(), start()]
  await haveStarted(...processes)
  const { id } = await redrives.start({ ...ALL, rate: RATE }, BY)
  await eventually(() => arrived().length > RATE / 2, 'it being at work')
  const first = processes.find(({ facts }) => facts.some(fact => fact.kind === 'replay_taken'))
  if (first === undefined) throw new Error('nobody has it')

  // When that one stops, then it publishes the page in hand at most, which is a second's worth
  const before = arrived().length
  await first.stop()
  expect(first.facts.at(-1)).toEqual({ kind: 'replay_parted', id, to: 'queued' })
  expect(first.arrivedAtParting() - before).toBeLessThanOrEqual(RATE)

  // And the other one goes on where it stopped
  await eventually(async () => (await redrives.get(id))?.state === 'done', 'the other one finishing it')
  expect(arrived()).toEqual(Array.from({ length: 300 }, (_, n) => `orders-0-${n}`))
  expect(troubles(first)).toEqual([])
})

it('starts automatic redrives, removes what is old and merges the ledger when their schedules say so', async () => {
  const { database, redrives, purges, start } = await aWorld()
  const { pool } = database
  await insertLetters(pool, [{ reason: 'retries_exhausted' }, {}])
  const { facts } = start()
  await haveStarted({ facts })
  const { rows } = await pool.query('SELECT name, cron FROM pgboss.schedule ORDER BY name')
  expect(rows).toEqual([
    { name: 'orders.automatic-redrive', cron: '* * * * *' },
    { name: 'orders.ledger-merge', cron: '37 * * * *' },
    { name: 'orders.retention', cron: '17 * * * *' },
  ])

  // What the schedule sends at its time, which may be now: a queue takes one job
  for (const name of ['orders.retention', 'orders.ledger-merge', 'orders.automatic-redrive']) {
    await pool.query(
      `INSERT INTO pgboss.job (name, policy, expire_seconds, retry_limit) SELECT name, policy, 600, 0 FROM pgboss.queue WHERE name = $1
        ON CONFLICT DO NOTHING`,
      [name],
    )
  }
  const [redrive] = await eventually(async () => {
    const started = await redrives.list(10)
    return started.length > 0 && started
  }, 'an automatic redrive')
  expect(redrive).toMatchObject({ automatic: true, requested_by: 'automatic', total: 1 })
  await eventually(() => purges() > 0, 'the removal')
  for (const fact of [
    { kind: 'operator_records_purged', audit: 2, redrives: 1 },
    { kind: 'ledger_merged', rows: 7 },
  ]) {
    await eventually(() => facts.some(one => isDeepStrictEqual(one, fact)), fact.kind)
  }
  // It goes into the store, which this test does not have.
  const isTaken = (fact: JobFact) => fact.kind === 'replay_taken' && fact.id === redrive?.id
  await eventually(() => facts.some(isTaken), 'a worker taking it')
})

it('tries again what failed by our own mistake', async () => {
  const { database, redrives, start } = await aWorld()
  await insertLetters(database.pool, [{}])
  // A right that is missing, for a while
  const { id } = await redrives.start(ALL, BY)
  await database.pool.query('ALTER TABLE holdfast.replay_items RENAME TO replay_items_away')
  const { facts } = start()
  await eventually(() => facts.some(fact => fact.kind === 'job_failed'), 'the job failing')
  await database.pool.query('ALTER TABLE holdfast.replay_items_away RENAME TO replay_items')
  // As if the lease of the worker that failed had run out
  await database.pool.query('UPDATE holdfast.replays SET heartbeat_at = NULL')
  await eventually(async () => (await redrives.get(id))?.state === 'done', 'the job being tried again')
})
