import type { DeadLetter } from '#src/engine/dead-letter.ts'
import { OwnershipLostError, ProgressRemovedError, ProgressSetBackError } from '#src/engine/errors.ts'
import { createIsolation, mayBlame } from '#src/engine/isolation.ts'
import { countOutcomes, type Outcome, type OutcomeCounts } from '#src/engine/outcome.ts'
import type { Progress } from '#src/engine/ports.ts'
import { claimKey, type RedriveFacts } from '#src/engine/provenance.ts'
import { compareOrigins, originId, partitionKey, type TopicPartition } from '#src/engine/record.ts'
import type { SettlementStore, SettlementWork, StoredProgress } from '#src/engine/settlement.ts'
import type { ReadyRecord } from '#src/engine/verdict.ts'
import { checkWork, countWork } from '#src/engine/work.ts'
import { readAgainEnds, redriveEnds } from '#src/inbox/redrive-ends.ts'
import type { RedrivePages } from '#src/inbox/redrive-settlement.ts'
import { RedriveTakenOverError } from '#src/inbox/redrive-work.ts'
import { createMemoryInbox, isOpen, type MemoryInbox } from './memory-inbox.ts'

export interface LedgerEntry extends OutcomeCounts, TopicPartition {
  readonly groupId: string
  readonly from: bigint
  readonly to: bigint
  readonly records: number
  readonly gaps: bigint
  readonly expired: bigint
  /** Passed over on purpose; negative: gone back. */
  readonly skipped?: bigint
  /** Keys that were new. */
  readonly inserted: number
}

export interface MemoryStoreOptions<T> {
  /** What the store throws when it is to write this record; `undefined`: it takes it. */
  readonly refuse?: (record: ReadyRecord<T>) => Error | undefined
  /** As of the real store. */
  readonly redriveMax?: number
}

/** The settlement store in memory: the same promises as the real one (one contract suite holds both to them). */
export interface MemoryStore<T> extends SettlementStore<T> {
  /** By uid. */
  readonly rows: ReadonlyMap<string, ReadyRecord<T>>
  readonly ledger: readonly LedgerEntry[]
  /** By `topic-partition-offset` of the origin. */
  readonly deadLetters: ReadonlyMap<string, DeadLetter>
  /** The tables of redrives, which a test may change as an operator and a worker would. */
  readonly inbox: MemoryInbox
  /** Pages of redrives into the store. */
  readonly pages: RedrivePages<T>
  /** The turn of the worker that has a redrive, by the redrive's id. */
  readonly epochs: Map<string, number>
  /** How many keys those pages have added. */
  added(): number
  /** Every call of `settle`, as it came. */
  readonly works: readonly SettlementWork<T>[]
  progressOf(partition: TopicPartition, groupId: string): bigint | undefined
  /** What an operator does with `holdfast resume`. */
  liftPause(partition: TopicPartition, groupId: string): void
  /** What `holdfast seek` does: progress with its row of the ledger. */
  seek(partition: TopicPartition, groupId: string, to: bigint): void
  /** Plays another consumer, which has moved the partition. */
  moveProgress(partition: TopicPartition, groupId: string, nextOffset: bigint): void
  /** Simulates a failover to a database without progress and ledger of the partition. */
  loseProgress(partition: TopicPartition, groupId: string): void
  /** Scripts the next calls of a method, in order: each fails with the error, without effect. */
  failNext(method: keyof SettlementStore<T>, ...errors: Error[]): void
  /** The next `settle` takes effect, but its reply is lost: it throws the error nevertheless. */
  loseReply(error: Error): void
  /** Simulates an outage: every call fails with the error until this is called with `undefined`. */
  fail(error: Error | undefined): void
}

export function createMemoryStore<T>(options: MemoryStoreOptions<T> = {}): MemoryStore<T> {
  const { refuse = () => undefined, redriveMax } = options
  const inbox = createMemoryInbox(redriveMax)
  const rows = new Map<string, ReadyRecord<T>>()
  const topicIds = new Map<string, string>()
  const progress = new Map<string, { partition: TopicPartition; groupId: string; nextOffset: bigint }>()
  const ledger: LedgerEntry[] = []
  const deadLetters = new Map<string, DeadLetter>()
  const aftermaths = new Map<string, Pick<StoredProgress, 'storm' | 'pause'>>()
  const works: SettlementWork<T>[] = []
  const epochs = new Map<string, number>()
  let added = 0
  const scripted = new Map<keyof SettlementStore<T>, Error[]>()
  let outage: Error | undefined
  let lostReply: Error | undefined

  return {
    inbox,
    rows,
    ledger,
    deadLetters,
    works,
    epochs,
    added: () => added,
    pages: {
      async settle(redrive, work) {
        await called('settle')
        if (epochs.get(redrive.id) !== redrive.epoch) throw new RedriveTakenOverError(`${redrive.id} is taken over`)
        const culprits = isolate(work)
        if (culprits !== undefined) return culprits
        const ends = redriveEnds(work, ready => outcomeOf(ready))
        const { written, inserted } = writeRows(work.ready)
        added += inserted
        for (const letter of work.deadLetters) deadLetters.set(originId(letter.origin), letter)
        const closings = inbox.settle(work.deadLetters, ends, [], true) ?? { resolved: 0, failed_again: 0, parked: 0 }
        return { kind: 'settled', written, closings }
      },
    },
    progressOf: (partition, groupId) => progress.get(keyOf(partition, groupId))?.nextOffset,
    liftPause(partition, groupId) {
      aftermaths.delete(keyOf(partition, groupId))
    },
    seek(partition, groupId, to) {
      const from = progress.get(keyOf(partition, groupId))?.nextOffset ?? to
      aftermaths.delete(keyOf(partition, groupId))
      const none = { records: 0, gaps: 0n, expired: 0n, inserted: 0, ...countOutcomes([]) }
      if (from !== to) enter(partition, groupId, { from, to, skipped: to - from, ...none })
    },
    moveProgress(partition, groupId, nextOffset) {
      progress.set(keyOf(partition, groupId), { partition, groupId, nextOffset })
    },
    loseProgress(partition, groupId) {
      const key = keyOf(partition, groupId)
      progress.delete(key)
      ledger.splice(0, ledger.length, ...ledger.filter(row => keyOf(row, row.groupId) !== key))
    },
    failNext(method, ...errors) {
      scripted.set(method, [...(scripted.get(method) ?? []), ...errors])
    },
    loseReply(error) {
      lostReply = error
    },
    fail(error) {
      outage = error
    },

    async settle(work) {
      works.push(work)
      const { gaps } = checkWork(work)
      await called('settle')
      const { groupId, from, to } = work
      const earlier = fence(work, groupId, from, to)
      if (earlier !== undefined) return { kind: 'settled', counts: countsOf(earlier), written: undefined }
      if (work.storm !== undefined && aftermaths.get(keyOf(work, groupId))?.pause !== undefined) {
        throw new OwnershipLostError(`${partitionKey(work)}: it waits for an operator`)
      }
      const culprits = isolate(work)
      if (culprits !== undefined) return culprits

      const counts = countWork(work, work.ready.map(outcomeOf))
      const ends = redriveEnds(work, ready => outcomeOf(ready))
      const readAgain = work.readAgain === true ? readAgainEnds(work, ready => outcomeOf(ready)) : []
      const { written, inserted } = writeRows(work.ready)
      for (const letter of work.deadLetters) deadLetters.set(originId(letter.origin), letter)
      const closings = inbox.settle(work.deadLetters, ends, readAgain)
      enter(work, groupId, { from, to, records: work.records, gaps, expired: 0n, inserted, ...counts })
      if (work.storm !== undefined) aftermaths.set(keyOf(work, groupId), { storm: work.storm, pause: work.pause })
      const lost = lostReply
      lostReply = undefined
      if (lost !== undefined) throw lost
      return { kind: 'settled', counts, written, closings }
    },

    async readProgress(groupId, partitions) {
      await called('readProgress')
      return partitions.flatMap(({ topic, partition }) => {
        const key = keyOf({ topic, partition }, groupId)
        const nextOffset = progress.get(key)?.nextOffset
        return nextOffset === undefined
          ? []
          : [
              {
                topic,
                partition,
                nextOffset,
                ...aftermaths.get(key),
                topicId: topicIds.get(key),
                wasFurther: nextOffset > 0n || ledger.some(row => keyOf(row, row.groupId) === key && row.to > 0n),
                readAgainTo: readAgainTo({ topic, partition, nextOffset }),
              },
            ]
      })
    },

    async startProgress(groupId, { topic, partition, nextOffset }, skippedFrom = nextOffset) {
      await called('startProgress')
      const key = keyOf({ topic, partition }, groupId)
      const existing = progress.get(key)
      if (existing !== undefined) return existing.nextOffset
      const from = ledger.findLast(row => keyOf(row, row.groupId) === key)?.to ?? skippedFrom
      const none = { records: 0, gaps: 0n, expired: 0n, inserted: 0, ...countOutcomes([]) }
      if (from === nextOffset) progress.set(key, { partition: { topic, partition }, groupId, nextOffset })
      else enter({ topic, partition }, groupId, { from, to: nextOffset, skipped: nextOffset - from, ...none })
      return nextOffset
    },

    async identify(groupId, partitions, topicId) {
      await called('identify')
      for (const partition of partitions) topicIds.set(keyOf(partition, groupId), topicId)
    },

    async expire(groupId, partition, from, to) {
      if (from < 0n || to <= from) throw new RangeError(`nothing can expire between the offsets ${from} and ${to}`)
      await called('expire')
      if (fence(partition, groupId, from, to) !== undefined) return
      enter(partition, groupId, {
        from,
        to,
        records: 0,
        gaps: 0n,
        expired: to - from,
        inserted: 0,
        ...countOutcomes([]),
      })
    },

    async redrives(groupId, _topic, claims) {
      await called('redrives')
      const facts = claims.flatMap((claim): [string, RedriveFacts][] => {
        const count = inbox.redriveCountOf(claim)
        if (count === undefined) return []
        const nextOffset = progress.get(keyOf(claim.origin, groupId))?.nextOffset
        const origin = inbox.letters.get(originId(claim.origin))?.origin
        const known = { topic: origin?.topic, timestampMs: origin?.timestampMs }
        return [[claimKey(claim), { redriveCount: count, ...known, nextOffset }]]
      })
      return new Map(facts)
    },

    async hold(groupId, at, pause) {
      await called('hold')
      if (progress.get(keyOf(at, groupId))?.nextOffset !== at.nextOffset) {
        throw new OwnershipLostError(`${partitionKey(at)}: progress is not at ${at.nextOffset} any more`)
      }
      aftermaths.set(keyOf(at, groupId), { ...aftermaths.get(keyOf(at, groupId)), pause })
    },

    async probe() {
      await called('probe')
    },
  }

  async function called(method: keyof SettlementStore<T>): Promise<void> {
    // Never in the caller's own turn, as no store answers.
    await Promise.resolve()
    const error = scripted.get(method)?.shift() ?? outage
    if (error !== undefined) throw error
  }

  function readAgainTo({ topic, partition, nextOffset }: Progress): bigint | undefined {
    const offsets = [...inbox.letters.values()].flatMap(letter => {
      const { origin } = letter
      const waits = isOpen(letter) && origin.topic === topic && origin.partition === partition
      return waits && origin.offset >= nextOffset ? [origin.offset + 1n] : []
    })
    return offsets.reduce<bigint | undefined>((most, end) => (most === undefined || end > most ? end : most), undefined)
  }

  /** @returns the ledger entry of this very range, when progress has passed it already. */
  function fence(partition: TopicPartition, groupId: string, from: bigint, to: bigint): LedgerEntry | undefined {
    const nextOffset = progress.get(keyOf(partition, groupId))?.nextOffset
    if (nextOffset === from) return undefined
    if (nextOffset === undefined) throw new ProgressRemovedError(`${partitionKey(partition)}: no progress row`)
    const key = keyOf(partition, groupId)
    const entry = ledger.find(row => keyOf(row, row.groupId) === key && row.from === from && row.to === to)
    if (entry !== undefined && nextOffset === to) return entry
    const Lost = nextOffset < from ? ProgressSetBackError : OwnershipLostError
    throw new Lost(`${partitionKey(partition)}: cannot go from offset ${from} to ${to}`)
  }

  /** The search of the real store: the same parts in the same order, so the same number of attempts. */
  function isolate(work: Pick<SettlementWork<T>, 'ready' | 'isolate'>) {
    const first = firstError(work.ready)
    if (first === undefined) return undefined
    if (!mayBlame(first, work.isolate)) throw first
    const isolation = createIsolation(work.ready.length, first, work.isolate)
    for (let part = isolation.next(); part !== undefined; part = isolation.next()) {
      const error = firstError(work.ready.slice(part.start, part.end))
      if (error !== undefined) isolation.failed(part, error)
    }
    const culprits = isolation.culprits()
    return culprits.length === 0 ? undefined : ({ kind: 'refused', culprits, attempts: isolation.attempts } as const)
  }

  function firstError(parts: readonly ReadyRecord<T>[]): Error | undefined {
    for (const ready of parts) {
      // Also for a stale one: Postgres checks constraints before it looks for the row that is there.
      const error = refuse(ready)
      if (error !== undefined) return error
    }
    return undefined
  }

  function writeRows(ready: readonly ReadyRecord<T>[]) {
    const written = ready.filter(record => outcomeOf(record) === 'written')
    const inserted = written.filter(({ key }) => !rows.has(key)).length
    for (const record of written) rows.set(record.key, record)
    return { written, inserted }
  }

  function outcomeOf(ready: ReadyRecord<T>): Outcome {
    const stored = rows.get(ready.key)
    if (stored === undefined) return 'written'
    const standing = compareOrigins(ready.origin, stored.origin)
    return standing === 'newer' ? 'written' : standing === 'same' ? 'duplicate' : 'stale'
  }

  function enter(
    { topic, partition }: TopicPartition,
    groupId: string,
    row: Omit<LedgerEntry, 'groupId' | 'topic' | 'partition'>,
  ): void {
    ledger.push({ topic, partition, groupId, ...row })
    progress.set(keyOf({ topic, partition }, groupId), { partition: { topic, partition }, groupId, nextOffset: row.to })
  }
}

function keyOf(partition: TopicPartition, groupId: string): string {
  return `${partitionKey(partition)} ${groupId}`
}

function countsOf({ written, duplicate, stale, superseded, dead_lettered }: OutcomeCounts): OutcomeCounts {
  return { written, duplicate, stale, superseded, dead_lettered }
}
