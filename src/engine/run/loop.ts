import type { Clock } from '../ports.ts'
import type { TopicPartition } from '../record.ts'
import { emptyAhead } from '../watch/rules.ts'
import { requestReposition } from '../watch/view.ts'
import { type AssignmentsParts, createAssignments } from './assignments.ts'
import type { Breaker } from './breaker.ts'
import type { OwnedPartition } from './partition.ts'
import { createReception, type ReceptionParts } from './receive.ts'
import { retrying } from './retry.ts'
import type { PartitionRun } from './run.ts'
import type { Signal } from './signal.ts'

export interface LoopParts
  extends Omit<ReceptionParts, 'overfull'>,
    Omit<AssignmentsParts, 'reception' | 'signal' | 'drainTimeoutMs' | 'turn'> {
  readonly topic: string
  /** At most so many records a turn, while more are known to be there. */
  readonly pollRecords: number
  /** Called once a turn: each asks when it is time to, and waits for nothing. */
  readonly pollers: readonly (() => void)[]
  readonly breakers: readonly Breaker[]
  /** Batches have ended. */
  readonly progressed: Signal
  /** How long what is in flight of a partition that is taken away may go on, in ms. */
  readonly drainTimeoutMs: number
}

export interface Loop {
  /** Joins the group and works until `stop()`. @throws the failure that ended it */
  run(): Promise<void>
  /** Makes `run()` drain within the bound, and end. */
  stop(drainTimeoutMs?: number): void
}

/** So long a poll waits for a record while something is going on: what others of the loop's work waits for comes no later. */
const POLL_TIMEOUT_MS = 100
/** The same when all has been quiet for a while: each poll wakes three threads of an idle process. A record ends it all the same. */
const QUIET_POLL_TIMEOUT_MS = 500
const QUIET_AFTER_MS = 5_000
/**
 * At most so many records a turn, unless the one before was full: the client goes on polling as long as records come within a millisecond of
 * one another, and of a steady stream the first would wait for the last.
 */
const SMALL_POLL_RECORDS = 100

/**
 * The one loop that owns the consumer: it polls, answers rebalances, pauses, commits, and acts on what the views say. The runs of the
 * partitions write what it hands over, and never touch the consumer.
 */
export function createLoop(parts: LoopParts): Loop {
  const { source, committer, views, stream, progressed, observer, clock } = parts
  const stopping = new AbortController()
  const backpressure = createBackpressure(clock)
  const quiet = createQuiet(clock)
  /** Whether the client holds more than the last poll took. */
  let isMore = false
  let { drainTimeoutMs } = parts
  let failure: { readonly error: unknown } | undefined

  const reception = createReception({ ...parts, startRun, overfull: backpressure.overfull })
  const assignments = createAssignments({
    ...parts,
    reception,
    signal: stopping.signal,
    drainTimeoutMs: () => drainTimeoutMs,
    turn,
  })

  function startRun(owner: OwnedPartition): PartitionRun {
    const run = parts.startRun(owner)
    void run.ended.then(end => {
      if (end.kind === 'failed') fail(end.error)
      else if (end.kind === 'reposition') requestReposition(views.of(owner), 'run_ended')
    })
    return run
  }

  /** The first error that stops the stream is kept; everything in flight is given up, nothing more is committed past it. */
  function fail(error: unknown): void {
    failure ??= { error }
    for (const partition of reception.owned.values()) partition.abandon()
    stopping.abort()
    progressed.notify()
  }

  /** One turn: commits, pauses, and up to a batch of records. */
  async function turn(): Promise<void> {
    stream.turned()
    committer.tick()
    const isFull = backpressure.look(reception.full())
    reception.applyPauses(clock.now())
    if (isFull && !backpressure.overfull()) {
      reception.stopFilling()
      // Not asking for more is the cheapest backpressure: a pause throws away what the client has fetched.
      const waited = new AbortController()
      await Promise.race([progressed.wait(), clock.sleep(POLL_TIMEOUT_MS, waited.signal)])
      waited.abort()
      return
    }
    const isQuiet = quiet.look(reception.resting())
    const most = isMore ? parts.pollRecords : Math.min(parts.pollRecords, SMALL_POLL_RECORDS)
    const records = await source.poll(most, isQuiet ? QUIET_POLL_TIMEOUT_MS : POLL_TIMEOUT_MS)
    isMore = records.length >= most
    reception.route(records, clock.monotonic(), isMore)
    for (const poll of parts.pollers) poll()
    for (const view of views.all()) {
      const { owner, lifted, manualPause } = view
      const emptyTo = emptyAhead(view)
      // Progress and commit go to the end of such a gap: else retention would later seem to have removed unread records there, and
      // other tools would see a lag for ever.
      if (emptyTo !== undefined && owner.noRecordsBelow(emptyTo)) reception.wake(owner)
      if (owner.manualPause !== manualPause) {
        owner.manualPause = manualPause
        reception.wake(owner)
      }
      if (lifted === undefined) continue
      view.lifted = undefined
      owner.waitsForOperator = undefined
      owner.storm = lifted
      owner.stormAhead = lifted
      reception.wake(owner)
    }
  }

  async function join(): Promise<void> {
    const partition: TopicPartition = { topic: parts.topic, partition: -1 }
    await retrying(() => source.start(), parts.retry, { dependency: 'kafka', partition, signal: stopping.signal })
    observer.observe({ kind: 'stream_started', topic: parts.topic, groupId: parts.groupId })
  }

  async function serve(): Promise<void> {
    while (!stopping.signal.aborted) {
      const event = source.nextEvent()
      if (event !== undefined) {
        quiet.end()
        await assignments.on(event)
      } else {
        await assignments.reposition()
        await turn()
      }
    }
  }

  async function drain(): Promise<void> {
    stream.become('draining', failure?.error)
    quiet.end()
    await assignments.drain([...reception.owned.values()], failure === undefined ? drainTimeoutMs : 0)
  }

  async function leave(): Promise<void> {
    const working = reception.stop()
    for (const breaker of parts.breakers) breaker.stop()
    await source.close()
    // A run may still hold a batch that was given up; its transaction ends by its own timeout, behind the fence.
    const late = new AbortController()
    await Promise.race([working, clock.sleep(1_000, late.signal)])
    late.abort()
  }

  return {
    async run() {
      stream.become('running')
      await join()
        .then(serve)
        .catch((error: unknown) => {
          if (error !== stopping.signal.reason) fail(error)
        })
      await drain().catch(fail)
      await leave()
      if (failure === undefined) stream.become('stopped')
      else stream.become('failed', failure.error)
      observer.observe({ kind: 'stream_stopped', ...(failure === undefined ? {} : { error: failure.error }) })
      if (failure !== undefined) throw failure.error
    },
    stop(boundMs = drainTimeoutMs) {
      drainTimeoutMs = boundMs
      stopping.abort()
      progressed.notify()
    },
  }
}

/** Whether nothing has been going on for a while. */
interface Quiet {
  /** @param resting whether nothing is going on now. @returns whether that has been so for {@link QUIET_AFTER_MS} */
  look(resting: boolean): boolean
  /** Something begins that the partitions do not show: a rebalance, a drain. */
  end(): void
}

function createQuiet(clock: Pick<Clock, 'monotonic'>): Quiet {
  let sinceMs: number | undefined
  return {
    look(resting) {
      sinceMs = resting ? (sinceMs ?? clock.monotonic()) : undefined
      return sinceMs !== undefined && clock.monotonic() - sinceMs >= QUIET_AFTER_MS
    },
    end() {
      sinceMs = undefined
    },
  }
}

/** Whether the buffers have been full, and for so long that fetching should stop. */
interface Backpressure {
  /** @param full whether they are now. @returns the same */
  look(full: boolean): boolean
  /** For longer than a second: the consumer is paused; for shorter, it is just not asked. */
  overfull(): boolean
}

const OVERFULL_AFTER_MS = 1_000

function createBackpressure(clock: Pick<Clock, 'monotonic'>): Backpressure {
  let fullSinceMs: number | undefined
  return {
    look(full) {
      fullSinceMs = full ? (fullSinceMs ?? clock.monotonic()) : undefined
      return full
    },
    overfull: () => fullSinceMs !== undefined && clock.monotonic() - fullSinceMs > OVERFULL_AFTER_MS,
  }
}
