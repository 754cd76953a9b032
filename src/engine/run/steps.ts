import type { DeadLetter } from '../dead-letter.ts'
import type { Clock, DeadLetterSink } from '../ports.ts'
import { provenances } from '../provenance.ts'
import type { SourceRecord } from '../record.ts'
import type { SettlementStore } from '../settlement.ts'
import type { BatchTrace } from '../tracing.ts'
import type { Verdict } from '../verdict.ts'
import type { CrashGuard, Passage } from './crash-guard.ts'
import { divert } from './divert.ts'
import type { Batch } from './partition.ts'
import { type RetryParts, retrying } from './retry.ts'
import type { Slots } from './slots.ts'
import type { StormRules } from './storm-guard.ts'
import { condemn, type Validated, validate } from './validate.ts'
import type { ContextOf } from './waiting.ts'
import { type OutagePolicy, type ToWrite, type Written, write } from './write.ts'

export interface StepsParts<T> {
  readonly store: SettlementStore<T>
  readonly sink: DeadLetterSink
  readonly judge: (record: SourceRecord) => Verdict<T>
  readonly crashGuard: CrashGuard
  /** Transactions side by side; one connection each. */
  readonly transactions: Slots
  readonly clock: Clock
  readonly groupId: string
  readonly retry: RetryParts
  /** Bounds failures that are attributed to one record. */
  readonly maxAttempts: number
  readonly stormRules: StormRules
  readonly outagePolicy: OutagePolicy
}

/** A batch with what goes along. */
export interface Escort {
  readonly batch: Batch
  readonly passage: Passage
  readonly trace: BatchTrace
  readonly contextOf: ContextOf
}

/**
 * The steps of the write path, in the order in which run.ts takes them. Each repeats what an outage makes fail, and returns a value or
 * throws: OwnershipLostError where the batch is to be dropped, or what stops the stream. None changes the partition.
 */
export interface Steps<T> {
  enter(escort: Escort): Promise<Passage>
  validate(escort: Escort): Promise<Validated<T>>
  /** @returns the dead letters as the topic has acknowledged them */
  divert(rejected: readonly DeadLetter[], escort: Escort): Promise<readonly DeadLetter[]>
  write(records: ToWrite<T>, escort: Escort): Promise<Written<T>>
}

export function createSteps<T>(parts: StepsParts<T>): Steps<T> {
  const { store, crashGuard, clock, groupId, retry } = parts

  /** One of so many transactions at a time: a connection would have to be waited for otherwise, and not for ever. */
  async function inTurn<R>(work: () => Promise<R>): Promise<R> {
    const release = await parts.transactions.take()
    try {
      return await work()
    } finally {
      release()
    }
  }

  /** Each dead letter is sent within the trace of its record. */
  function sinkOf({ trace }: Escort): DeadLetterSink {
    return {
      send: deadLetter => trace.runFor(deadLetter.record, () => parts.sink.send(deadLetter)),
      probe: () => parts.sink.probe(),
    }
  }

  return {
    enter: ({ batch, contextOf }) => retrying(() => crashGuard.enter(batch), retry, contextOf('postgres')),

    validate({ batch, passage, contextOf }) {
      const { owner, records } = batch
      const { deaths, attempt } = passage
      const validating = async () => {
        const provenanceOf = await provenances(records, claims => store.redrives(groupId, owner.topic, claims))
        const shared = { provenanceOf, groupId, now: () => clock.now() }
        if (deaths > 0) return condemn(records, deaths, shared)
        return validate(records, { ...shared, judge: parts.judge, maxAttempts: parts.maxAttempts })
      }
      const context = contextOf('postgres', work => attempt('judge', work))
      return retrying(validating, retry, context)
    },

    divert(rejected, escort) {
      const context = escort.contextOf('dlq', work => escort.passage.attempt('settle', work))
      return divert(rejected, sinkOf(escort), retry, context)
    },

    write(records, escort) {
      const inStore: Pick<SettlementStore<T>, 'settle' | 'hold'> = {
        settle: work => inTurn(() => store.settle(work)),
        hold: (group, at, pause) => inTurn(() => store.hold(group, at, pause)),
      }
      const contextOf: ContextOf = dependency =>
        escort.contextOf(dependency, work => escort.passage.attempt('settle', work))
      return write(escort.batch, records, { ...parts, store: inStore, sink: sinkOf(escort), contextOf })
    },
  }
}
