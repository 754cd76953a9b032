import { RecordRefusedError } from '#src/engine/errors.ts'
import { writeHeaders } from '#src/engine/headers.ts'
import type { Header, Origin, SourceRecord } from '#src/engine/record.ts'
import type { Random } from '#src/engine/values/random.ts'
import type { ReadyRecord, Verdict } from '#src/engine/verdict.ts'

/**
 * How a record ends when nothing else replaces it: `ok` is stored; the judge turns `invalid` down; the store refuses
 * `refused` whenever it is tried, throws something unforeseen at `odd`; and
 * `deadly` ends the process that writes it.
 */
export type Kind = 'ok' | 'invalid' | 'refused' | 'odd' | 'deadly'

/** Value `uid:kind:number`. */
export function kindOf(record: Pick<SourceRecord, 'value'>): Kind {
  return record.value?.toString().split(':')[1] as Kind
}

export function uidOf(record: Pick<SourceRecord, 'value'>): string {
  return record.value?.toString().split(':')[0] ?? ''
}

/** Where redriven records first stood: known from the making, so that the product's own reading of it is audited, too. */
const origins = new WeakMap<SourceRecord, Origin>()

export function originOf(record: SourceRecord): Origin {
  return origins.get(record) ?? record
}

export function judge(record: SourceRecord): Verdict<string> {
  const value = record.value?.toString() ?? ''
  if (kindOf(record) !== 'invalid') return { ok: true, key: uidOf(record), value }
  const rejection = { reason: 'schema_violation', error: 'type', pointer: '', message: 'is invalid', violations: [] }
  return { ok: false, key: null, rejection: { ...rejection, reason: 'schema_violation' } }
}

/** What the store throws when it is to write this record. */
export function refuse({ record }: ReadyRecord<string>): Error | undefined {
  const kind = kindOf(record)
  if (kind === 'refused') return new RecordRefusedError('refused', { sqlState: '23514' })
  return kind === 'odd' ? new Error('unforeseen') : undefined
}

/** What a redrive finds, and leaves, in the store. */
export interface Redrives {
  isSettled(origin: Origin): boolean
  publishes(redriveId: string, origin: Origin): void
}

/**
 * The next records of a producer: few orders, many versions; some invalid, some redriven with the position of an earlier
 * one (as it was, or repaired), now and then on another partition than before; and some that claim to be redriven, and are
 * new.
 *
 * Timestamps grow with every record, over all partitions: then the stale guard orders all versions of an order alike,
 * by offset as by time, and the model is simply the version with the latest origin.
 */
export interface Producer {
  next(at: { readonly partition: number; readonly offset: bigint }): SourceRecord
}

export function createProducer(random: Random, invalidRatio: number, topic: string, redrives: Redrives): Producer {
  const earlier: SourceRecord[] = []
  const uids = random.between(1, 12)
  // At most one: a batch in which every record of several fails in an unforeseen way stops the stream, and rightly so.
  let oddAt = random.chance(0.3) ? random.between(0, 30) : -1
  const oneOfAKind = random.pick(['odd', 'deadly'] as const)
  let number = 0

  function kindOfNext(): Kind {
    if (oddAt-- === 0) return oneOfAKind
    return random.chance(invalidRatio) ? random.pick(['invalid', 'refused']) : 'ok'
  }

  return {
    next({ partition, offset }) {
      number += 1
      const timestampMs = 1_600_000_000_000 + number
      const base = { topic, partition, offset, timestampMs, key: null }
      const again = earlier.length > 0 && random.chance(0.08) ? random.pick(earlier) : undefined
      if (again !== undefined && kindOf(again) !== oneOfAKind && redrives.isSettled(again)) {
        redrives.publishes(`r${number}`, again)
        const repaired = kindOf(again) !== 'ok' && random.chance(0.5)
        const value = repaired ? Buffer.from(`${uidOf(again)}:ok:${number}`) : again.value
        const record = { ...base, value, headers: redriven(again, `r${number}`) }
        origins.set(record, again)
        return record
      }
      const uid = `uid-${random.between(1, uids)}`
      const far = { ...base, offset: offset + BigInt(random.between(1, 1_000_000)), timestampMs: 1_900_000_000_000 }
      const headers = random.chance(0.05) ? redriven(far, random.pick(['r1', 'forged'])) : []
      const record: SourceRecord = { ...base, value: Buffer.from(`${uid}:${kindOfNext()}:${number}`), headers }
      earlier.push(record)
      return record
    },
  }
}

function redriven(origin: Origin, redriveId: string): Header[] {
  return writeHeaders({ id: origin, timestamp: origin.timestampMs, redriveId, redriveCount: 1 })
}
