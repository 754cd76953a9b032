import type { Reason } from '#src/engine/dead-letter.ts'
import { originId, type SourceRecord } from '#src/engine/record.ts'
import type { SettlementWork } from '#src/engine/settlement.ts'
import type { MemoryStore } from '../memory-store.ts'
import type { Broker } from './broker.ts'
import { kindOf, originOf, uidOf } from './workload.ts'
import { GROUP, TOPIC, type World } from './world.ts'

/** The dead-letter topic: the value of each record in it, with its `holdfast.id`. */
export type DeadLetterTopic = { readonly id: string; readonly reason: Reason; readonly value: Buffer | null }[]

/** Holds what happened against what was promised. */
export interface Auditor {
  /** At the moment at which a work took effect. */
  settled(who: string, work: SettlementWork<string>, before: bigint | undefined): void
  /** Whether all that was appended is settled and committed. */
  isDrained(): boolean
  /** When all is quiet. */
  finish(): void
}

export interface Audited {
  readonly broker: Broker
  readonly store: MemoryStore<string>
  readonly dlq: DeadLetterTopic
}

export function createAuditor(world: World, { broker, store, dlq }: Audited): Auditor {
  const violated = (what: string) => world.violated(what)
  /** Ids of dead letters that some settled batch holds. */
  const indexed = new Set<string>()
  /** Set aside because processes ended over them: by their own doing, or by a fault that came each time. */
  const condemned = new Set<SourceRecord>()
  const progressOf = (partition: number) => store.progressOf({ topic: TOPIC, partition }, GROUP)

  function checkPartition(partition: number): void {
    const { end, committed, records } = broker.log(partition)
    const rows = store.ledger.filter(row => row.partition === partition)
    let next = rows[0]?.from ?? end
    for (const { from, to, ...row } of rows) {
      const range = `${partition} ${from}..${to}`
      if (from !== next) violated(`the ledger goes on at ${range}, but ended at ${next}`)
      next = to
      const inRange = records.filter(({ offset }) => offset >= from && offset < to)
      const ends = row.written + row.duplicate + row.stale + row.superseded + row.dead_lettered
      if (row.expired > 0n) continue
      if (ends !== inRange.length || row.records !== inRange.length) {
        violated(`${inRange.length} records were in ${range}, the ledger has ${row.records}, and ${ends} ends for them`)
      }
      if (row.gaps !== to - from - BigInt(inRange.length)) violated(`the gaps of ${range} are not ${row.gaps}`)
    }
    if (rows[0] !== undefined && rows[0].from !== 0n) violated(`${partition} begins at ${rows[0].from}`)
    if (next !== end || progressOf(partition) !== end) violated(`${partition} ends at ${end}, its ledger at ${next}`)
    if (committed !== end) violated(`${partition} ends at ${end}, and is committed at ${committed}`)
  }

  function expired({ partition, offset }: SourceRecord): boolean {
    return store.ledger.some(
      row => row.partition === partition && row.expired > 0n && offset >= row.from && offset < row.to,
    )
  }

  /** The newest valid version of each order, by the time of its origin. */
  function checkRows(all: readonly SourceRecord[]): void {
    const newest = new Map<string, number>()
    for (const record of all) {
      if (kindOf(record) !== 'ok' || expired(record) || condemned.has(record)) continue
      const uid = uidOf(record)
      newest.set(uid, Math.max(newest.get(uid) ?? 0, originOf(record).timestampMs))
    }
    for (const [uid, timestampMs] of newest) {
      const row = store.rows.get(uid)
      if (row === undefined) violated(`${uid} is not stored`)
      else if (originOf(row.record).timestampMs !== timestampMs) {
        violated(`${uid} is stored as of ${originOf(row.record).timestampMs}, its newest version is of ${timestampMs}`)
      }
    }
    for (const [uid, row] of store.rows) {
      if (!newest.has(uid) || kindOf(row.record) !== 'ok') violated(`${uid} is stored and should not be`)
    }
  }

  function checkDeadLetters(all: readonly SourceRecord[]): void {
    const unread = new Set(dlq.filter(({ reason }) => reason === 'crash_loop').map(({ id }) => id))
    const bad = all.filter(record => kindOf(record) !== 'ok' || unread.has(originId(originOf(record))))
    const values = new Map(bad.map(record => [originId(originOf(record)), record.value]))
    const sent = new Set(dlq.map(({ id }) => id))
    for (const { id, value } of dlq) {
      const original = values.get(id)
      if (original === undefined) violated(`${id} is a dead letter and was valid`)
      else if (!value || !original?.equals(value)) violated(`the dead letter ${id} is not as the record was`)
    }
    for (const record of bad) {
      const id = originId(originOf(record))
      if (kindOf(record) === 'invalid' && !expired(record) && !sent.has(id)) violated(`${id} is no dead letter`)
    }
    for (const id of store.deadLetters.keys()) if (!indexed.has(id)) violated(`${id} is in the index, unexplained`)
  }

  return {
    settled(who, work, before) {
      const { partition, from, to } = work
      const range = `${partition} ${from}..${to}`
      const after = progressOf(partition)
      if (before === undefined || after === undefined || after <= before)
        violated(`progress went ${before} -> ${after}`)
      if (before !== from || after !== to) violated(`${who} settled ${range}, from progress ${before} to ${after}`)
      const written = new Map(work.ready.map(order => [order.record.offset, order]))
      const set = new Map(work.deadLetters.map(letter => [letter.record.offset, letter]))
      for (const letter of work.deadLetters) {
        const id = originId(letter.origin)
        indexed.add(id)
        if (letter.rejection.reason === 'crash_loop') condemned.add(letter.record)
        if (!dlq.some(sent => sent.id === id)) violated(`${id} was settled before the dead-letter topic had it`)
      }
      for (const record of broker.log(partition).records) {
        if (record.offset < from || record.offset >= to) continue
        const ends = (written.delete(record.offset) ? 1 : 0) + (set.delete(record.offset) ? 1 : 0)
        if (ends === 1) continue
        const { timestampMs } = originOf(record)
        const replacement = work.ready.find(order => order.key === uidOf(record))
        const isReplaced =
          kindOf(record) !== 'invalid' &&
          replacement !== undefined &&
          originOf(replacement.record).timestampMs >= timestampMs
        if (ends > 1 || !isReplaced) violated(`offset ${record.offset} has ${ends} ends in ${range}`)
      }
      if (written.size + set.size > 0) violated(`${range} holds records from elsewhere`)
    },

    isDrained: () =>
      broker.logs.every(({ partition, end, committed }) => progressOf(partition) === end && committed === end),

    finish() {
      const all = broker.logs.flatMap(({ records }) => records)
      for (const { partition } of broker.logs) checkPartition(partition)
      checkRows(all)
      checkDeadLetters(all)
    },
  }
}
