import { runningLifecycle } from '../../engine/lifecycle.ts'
import type { Clock } from '../../engine/ports.ts'
import type { Redrives } from '../redrive-ports.ts'
import type { JobObserver, RedriveStore } from '../redrive-work.ts'
import type { AutomaticRedrive } from '../stream-ports.ts'
import { redriveAutomatically } from './automatic-redrive.ts'
import { type Boss, type BossOptions, type Job, startBoss } from './boss.ts'
import { queueName } from './queue-schema.ts'
import { MAX_TURN_MS, type RedriveWorker } from './redrive-worker.ts'

export interface JobsOptions {
  /** Whose jobs they are: each stream has queues of its own, so that a process with other streams does not take its jobs. */
  readonly stream: string
  readonly database: BossOptions['database']
  readonly store: Pick<RedriveStore, 'waiting'>
  readonly worker: RedriveWorker
  /** Scheduled work. Absent: only redrives are worked on, as `holdfast dlq redrive` does. */
  readonly scheduled?: ScheduledJobs
  readonly stopTimeoutMs: number
  readonly observer: JobObserver
  readonly clock: Clock
  readonly random: () => number
}

export interface ScheduledJobs {
  readonly redrives: Pick<Redrives, 'start' | 'list'>
  readonly automatic: Pick<AutomaticRedrive, 'status'>
  /** How long a dead letter waits for its first automatic redrive, its second …, in ms. */
  readonly automaticDelaysMs: readonly number[]
  /** Removes settled dead letters that are old enough; absent: they stay for ever. @returns how many */
  readonly purge?: (() => Promise<number>) | undefined
  /** Removes entries of the audit log, and redrives, that are older than they are kept. @returns how many */
  readonly purgeOperators?: (() => Promise<{ readonly audit: number; readonly redrives: number }>) | undefined
  /** Merges old rows of the ledger. @returns how many are gone */
  readonly mergeLedger?: ((signal: AbortSignal) => Promise<number>) | undefined
}

/** How soon a redrive that was asked for, or that lost its worker, is put into the queue. */
const LOOK_EVERY_MS = 1_000
/** An outage of the database may last a day before an operator attends to it; a job is retried until then. */
const ENDLESS = 1_000_000
const EVERY_MINUTE = '* * * * *'
/** Often enough that each run is short, and not on the hour, when many scheduled jobs run. */
const EVERY_HOUR = '17 * * * *'
const EVERY_HOUR_LATER = '37 * * * *'

/**
 * Works on redrives and on scheduled work. The rows of `replays` define the work: each process that runs jobs
 * looks there for one that has no worker, and puts it into the queue, which takes one. So an operator's request needs
 * no queue, and one whose worker was killed is queued again.
 */
export function startJobs(options: JobsOptions): AsyncDisposable {
  const { stream, store, worker, observer, clock } = options
  const redrive: Job = {
    name: queueName(stream, 'replay'),
    queue: {
      policy: 'exclusive',
      heartbeatSeconds: 10,
      // The worker releases its redrive well before.
      expireInSeconds: (2 * MAX_TURN_MS) / 1000,
      retryLimit: ENDLESS,
      retryDelay: 1,
      retryBackoff: true,
      retryDelayMax: 30,
      deleteAfterSeconds: 3_600,
    },
    async work(signal) {
      const id = await store.waiting()
      if (id !== undefined) await worker.run(id, signal)
    },
  }
  const boss = startBoss({ ...options, jobs: [redrive, ...scheduledJobs(options)] })
  const lifecycle = runningLifecycle(async () => {
    // First, so that jobs at work begin to release theirs.
    const letGo = boss[Symbol.asyncDispose]()
    await looking
    await letGo
  })
  const looking = look(boss)

  async function look(boss: Boss): Promise<void> {
    while (!lifecycle.stopping.aborted) {
      try {
        if ((await store.waiting()) !== undefined) await boss.send(redrive.name)
      } catch (error) {
        observer.observe({ kind: 'jobs_trouble', error })
      }
      await clock.sleep(LOOK_EVERY_MS, lifecycle.stopping)
    }
  }

  return { [Symbol.asyncDispose]: lifecycle.stop }
}

function scheduledJobs({ stream, scheduled, observer, clock }: JobsOptions): Job[] {
  if (scheduled === undefined) return []
  // One at a time in all processes; the next turn makes up for one that failed.
  const queue = { policy: 'exclusive', expireInSeconds: 600, retryLimit: 0, deleteAfterSeconds: 86_400 } as const
  const { purge, purgeOperators, mergeLedger } = scheduled
  const redrive: Job = {
    name: queueName(stream, 'automatic-redrive'),
    queue,
    cron: EVERY_MINUTE,
    async work() {
      const started = await redriveAutomatically({ ...scheduled, now: clock.now })
      if (started !== undefined) {
        observer.observe({ kind: 'automatic_redrive_started', id: started.id, total: started.total })
      }
    },
  }
  const retention: Job = {
    name: queueName(stream, 'retention'),
    queue,
    cron: EVERY_HOUR,
    async work() {
      const purged = (await purge?.()) ?? 0
      if (purged > 0) observer.observe({ kind: 'dead_letters_purged', purged })
      const { audit = 0, redrives = 0 } = (await purgeOperators?.()) ?? {}
      if (audit + redrives > 0) observer.observe({ kind: 'operator_records_purged', audit, redrives })
    },
  }
  const merge: Job = {
    name: queueName(stream, 'ledger-merge'),
    queue,
    cron: EVERY_HOUR_LATER,
    async work(signal) {
      const rows = (await mergeLedger?.(signal)) ?? 0
      if (rows > 0) observer.observe({ kind: 'ledger_merged', rows })
    },
  }
  return [redrive, retention, merge]
}
