import { backoffMs } from '../backoff.ts'
import { type Collapsed, collapse } from '../collapse.ts'
import type { DeadLetter, Rejection } from '../dead-letter.ts'
import { dispositionOf } from '../errors.ts'
import type { OutcomeCounts } from '../outcome.ts'
import type { DeadLetterSink } from '../ports.ts'
import type { LastRead, Pause, RedriveClosings, Settlement, SettlementStore, StormTally } from '../settlement.ts'
import type { ReadyRecord } from '../verdict.ts'
import { createBlame } from './blame.ts'
import { divert, toDeadLetter } from './divert.ts'
import type { Batch } from './partition.ts'
import { type RetryParts, retrying } from './retry.ts'
import { checkRefusals, checkStorm, type StormCheck, type StormRules } from './storm-guard.ts'
import { redrivenOf } from './validate.ts'
import type { ContextOf } from './waiting.ts'

export interface WriteParts<T> {
  readonly store: Pick<SettlementStore<T>, 'settle' | 'hold'>
  readonly sink: DeadLetterSink
  readonly groupId: string
  /** Bounds failures that are attributed to one record. */
  readonly maxAttempts: number
  readonly retry: RetryParts
  readonly contextOf: ContextOf
  readonly stormRules: StormRules
  /** What is done about a batch that the store does not take for so long: wait, or set its records aside. */
  readonly outagePolicy: OutagePolicy
}

export type OutagePolicy = 'pause' | 'dead-letter'

/** The records of a batch after validation. */
export interface ToWrite<T> {
  readonly ready: readonly ReadyRecord<T>[]
  /** Acknowledged by the dead-letter topic. */
  readonly letters: readonly DeadLetter[]
}

export type Written<T> = Settled<T> | Held

/** Nothing of the batch was written or dead-lettered: its partition waits for an operator, who may let it try again. */
export interface Held {
  readonly kind: 'held'
}

export interface Settled<T> {
  readonly kind: 'settled'
  /** What was settled: the batch, or its first records where the storm guard stops the partition behind them. */
  readonly batch: Batch
  readonly storm: StormTally
  readonly pause: Pause | undefined
  readonly counts: OutcomeCounts
  /** The records that this batch wrote; `undefined` when an earlier attempt had, whose reply was lost. */
  readonly written: readonly ReadyRecord<T>[] | undefined
  /** Every dead letter of the batch: the invalid ones, and those that the store refused. */
  readonly letters: readonly DeadLetter[]
  /** As in `Settlement`. */
  readonly closings: RedriveClosings | undefined
}

/**
 * Settles a batch in one transaction. Records that the store refuses are found by bisection, diverted, and left out of
 * the transaction that writes the others: it never holds a transaction open while it waits for Kafka, and a record that
 * a refused one had superseded gets its turn. When the storm guard triggers, only the first records are settled, or none.
 * @throws OwnershipLostError (drop the batch), or an error that stops the stream; an outage only makes it wait
 */
export async function write<T>(taken: Batch, given: ToWrite<T>, parts: WriteParts<T>): Promise<Written<T>> {
  const { owner } = taken
  const before = owner.storm
  const { retry, groupId, maxAttempts } = parts
  const context = parts.contextOf('postgres')
  const redriven = redrivenOf(given.ready)
  const blame = createBlame<T>(maxAttempts)
  let batch = taken
  let { ready, letters } = given
  let storm = weigh(letters)
  // With the policy `dead-letter` an outage ends a batch after so many attempts; its dead letters then wait for the store
  // like anything else, because without their entry in the ledger nothing is proven.
  let patience = parts.outagePolicy === 'dead-letter' ? maxAttempts : Number.POSITIVE_INFINITY

  for (;;) {
    const collapsed = collapse(ready)
    const settlement = await settleHoweverLong(collapsed).catch((error: unknown) => {
      if (patience === Number.POSITIVE_INFINITY || dispositionOf(error) !== 'retry') throw error
      return undefined
    })
    if (settlement === undefined) {
      const exhausted = ready.map(record => setAside(record, exhaustedRetries(patience), patience))
      patience = Number.POSITIVE_INFINITY
      await divertMore(exhausted)
      continue
    }
    if (settlement.kind === 'settled') {
      const { counts, written, closings } = settlement
      return { kind: 'settled', batch, counts, written, letters, closings, storm: storm.tally, pause: storm.pause }
    }

    const condemned = blame.condemn(settlement.culprits, collapsed.ready)
    if (condemned.length === 0) {
      // The error is unforeseen, so it may pass; these are the retries that RETRY_MAX_ATTEMPTS bounds.
      await retry.clock.sleep(backoffMs(retry.policy, blame.strikes, retry.random()), context.signal)
      continue
    }
    const refused = condemned.map(({ record, rejection, attempts }) => setAside(record, rejection, attempts))
    const gone = new Set(condemned.map(({ record }) => record))
    if (collapsed.ready.every(record => record.redrive !== undefined || gone.has(record))) {
      const pause = checkRefusals([...letters, ...refused], before, parts.stormRules)
      if (pause !== undefined) return await hold(pause)
    }
    await divertMore(refused)
  }

  /** Cuts the batch down to what may be settled when these are its dead letters, and all of its other records pass. */
  function weigh(all: readonly DeadLetter[]): StormCheck {
    const check = checkStorm(batch.records, all, redriven, before, parts.stormRules)
    if (check.keep < batch.records.length) {
      const records = batch.records.slice(0, check.keep)
      const to = (records.at(-1)?.offset ?? batch.from) + 1n
      batch = { ...batch, records, to }
      ready = ready.filter(({ record }) => record.offset < to)
      letters = letters.filter(({ record }) => record.offset < to)
    }
    return check
  }

  async function hold(pause: Pause): Promise<Held> {
    const { topic, partition } = owner
    const at = { topic, partition, nextOffset: batch.from }
    await retrying(() => parts.store.hold(groupId, at, pause), retry, context)
    return { kind: 'held' }
  }

  function settleHoweverLong(collapsed: Collapsed<T>): Promise<Settlement<T>> {
    const attempt = () => blame.attempt(isolate => settle(collapsed, isolate))
    return retrying(attempt, retry, { ...context, maxAttempts: patience })
  }

  function settle(collapsed: Collapsed<T>, isolate: boolean): Promise<Settlement<T>> {
    const { tally, pause } = storm
    return parts.store.settle({
      topic: owner.topic,
      partition: owner.partition,
      groupId,
      from: batch.from,
      to: batch.to,
      records: batch.records.length,
      ready: collapsed.ready,
      collapsed,
      deadLetters: letters,
      isolate,
      storm: tally,
      ...(pause === undefined ? {} : { pause }),
      lastRead: lastReadOf(batch),
      ...(batch.from < owner.readAgainTo ? { readAgain: true } : {}),
    })
  }

  async function divertMore(added: readonly DeadLetter[]): Promise<void> {
    storm = weigh([...letters, ...added])
    const kept = added.filter(({ record }) => record.offset < batch.to)
    letters = [...letters, ...(await divert(kept, parts.sink, retry, parts.contextOf('dlq')))]
    const gone = new Set(added.map(({ record }) => record))
    ready = ready.filter(({ record }) => !gone.has(record))
  }

  function setAside(record: ReadyRecord<T>, rejection: Rejection, attempts: number): DeadLetter {
    return toDeadLetter(record, rejection, { groupId, failedAtMs: retry.clock.now(), attempts })
  }
}

function lastReadOf({ records }: Batch): LastRead | undefined {
  const last = records.at(-1)
  return last?.leaderEpoch === undefined ? undefined : { offset: last.offset, leaderEpoch: last.leaderEpoch }
}

function exhaustedRetries(attempts: number): Rejection {
  return {
    reason: 'retries_exhausted',
    error: 'store_unavailable',
    pointer: '',
    message: `the store did not take this record's batch in ${attempts} attempts (OUTAGE_POLICY=dead-letter)`,
    violations: [],
  }
}
