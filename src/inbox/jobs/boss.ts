import { PgBoss, type Queue } from 'pg-boss'
import type { BackoffPolicy } from '../../engine/backoff.ts'
import { runningLifecycle } from '../../engine/lifecycle.ts'
import type { Clock } from '../../engine/ports.ts'
import { retry } from '../../engine/retry.ts'
import type { JobObserver } from '../redrive-work.ts'
import { FORMER_QUEUES, requireQueueSchema } from './queue-schema.ts'

/** One kind of job: a queue of pg-boss, what works on it, and when it is scheduled. */
export interface Job {
  /** Also the queue's name. */
  readonly name: string
  readonly queue: Omit<Queue, 'name'>
  /** When it is scheduled (cron, UTC). */
  readonly cron?: string
  /** @param signal aborts when the process stops, or another one has the job */
  work(signal: AbortSignal): Promise<void>
}

export interface BossOptions {
  /** Runs statements on connections of their own. Errors are passed as `pg` throws them: pg-boss reads their codes. */
  readonly database: {
    /** Of the queues. */
    readonly schema: string
    executeSql(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>
  }
  readonly jobs: readonly Job[]
  /** How long a job may take to end after it was asked to. */
  readonly stopTimeoutMs: number
  readonly observer: JobObserver
  readonly clock: Clock
  readonly random: () => number
}

export interface Boss extends AsyncDisposable {
  /** Puts a job into its queue, unless the queue's policy has one too many. Lost while the queue is not to be reached. */
  send(name: string): Promise<void>
}

const BACKOFF: BackoffPolicy = { initialMs: 500, maxMs: 10_000 }
/** How long an idle worker waits before it looks again; `send` wakes one. What is scheduled comes once a minute at most. */
const POLL_SECONDS = { sent: 10, scheduled: 15 }
/** How often pg-boss looks by itself for jobs that no worker has taken, and for schedules that are due. */
const LOOK_SECONDS = 30
/** How soon a job is found whose worker says nothing any more, while a queue does not take another one. */
const SUPERVISE_MS = 5_000

/**
 * Queues and schedules, in the background: the database may be away at the start or later, and nothing else waits for them.
 * Stops within `stopTimeoutMs` and the timeouts of a statement; what a handler does not finish by then, another process takes
 * up.
 */
export function startBoss({ database, jobs, stopTimeoutMs, observer, clock, random }: BossOptions): Boss {
  const workers = new Map<string, string>()
  let running: PgBoss | undefined
  let supervisedAtMs = clock.monotonic()
  const lifecycle = runningLifecycle(async () => {
    await started
    await running?.stop({ graceful: true, close: false, timeout: stopTimeoutMs }).catch(() => {})
  })
  const started = start()

  async function start(): Promise<void> {
    const options = { policy: BACKOFF, clock, random, signal: lifecycle.stopping, passes: () => true }
    await retry(startOnce, options).catch(() => {
      // It was stopped before.
    })
  }

  async function startOnce(): Promise<void> {
    let boss: PgBoss | undefined
    try {
      const isThere = await requireQueueSchema(
        async (text, values) => (await database.executeSql(text, [...values])).rows,
        database.schema,
      )
      boss = open(!isThere)
      await boss.start()
      await setUp(boss)
      running = boss
      observer.observe({ kind: 'jobs_started' })
    } catch (error) {
      observer.observe({ kind: 'jobs_trouble', error })
      await boss?.stop({ graceful: false, close: false }).catch(() => {})
      throw error
    }
  }

  /** @param createSchema CREATE SCHEMA IF NOT EXISTS fails without the right to create one, also where it exists */
  function open(createSchema: boolean): PgBoss {
    const boss = new PgBoss({
      db: database,
      schema: database.schema,
      createSchema,
      schedule: jobs.some(job => job.cron !== undefined),
      superviseIntervalSeconds: LOOK_SECONDS,
      monitorIntervalSeconds: LOOK_SECONDS,
      cronMonitorIntervalSeconds: LOOK_SECONDS,
      cronWorkerIntervalSeconds: POLL_SECONDS.scheduled,
      // No job of ours waits for another one.
      flowIntervalSeconds: 3_600,
    })
    // What it says is an Error sometimes, and sometimes an object that was made from one.
    boss.on('error', (error: unknown) => observer.observe({ kind: 'jobs_trouble', error: toError(error) }))
    return boss
  }

  async function setUp(boss: PgBoss): Promise<void> {
    for (const { name, queue, cron } of jobs) {
      const { policy, ...changeable } = queue
      // Replicas do this at the same time; and what an older version has set up is brought up to date.
      await boss.createQueue(name, { ...changeable, ...(policy === undefined ? {} : { policy }) })
      await boss.updateQueue(name, changeable)
      if (cron !== undefined) await boss.schedule(name, cron)
    }
    for (const name of FORMER_QUEUES) await boss.unschedule(name)
    for (const job of jobs) {
      const pollingIntervalSeconds = job.cron === undefined ? POLL_SECONDS.sent : POLL_SECONDS.scheduled
      const id = await boss.work(job.name, { pollingIntervalSeconds }, async ([given]) => {
        if (given === undefined) return
        try {
          await job.work(AbortSignal.any([lifecycle.stopping, given.signal]))
        } catch (error) {
          observer.observe({ kind: 'job_failed', job: job.name, error })
          throw error
        }
      })
      workers.set(job.name, id)
    }
  }

  return {
    async send(name) {
      if (running === undefined || lifecycle.stopping.aborted) return
      const sent = await running.send(name)
      const worker = workers.get(name)
      if (worker !== undefined) running.notifyWorker(worker)
      if (sent !== null || clock.monotonic() - supervisedAtMs < SUPERVISE_MS) return
      // The queue has one already: it may be that of a process which is gone.
      supervisedAtMs = clock.monotonic()
      await running.supervise(name)
    },
    [Symbol.asyncDispose]: lifecycle.stop,
  }
}

/** Without a stack: where pg-boss noticed it is of no help. */
function toError(error: unknown): Error {
  const message =
    typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : String(error)
  return Object.assign(new Error(message), { stack: message })
}
