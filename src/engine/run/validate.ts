import type { DeadLetter, Rejection } from '../dead-letter.ts'
import type { ProvenanceOf, RecordRedrive } from '../provenance.ts'
import type { Origin, SourceRecord } from '../record.ts'
import type { EncodedRows, ReadyRecord, UnusualKind, ValidVerdict, Verdict } from '../verdict.ts'
import { toDeadLetter } from './divert.ts'

export interface Validated<T> {
  /** In the order of their offsets. */
  readonly ready: readonly ReadyRecord<T>[]
  /** To be diverted, in the order of their offsets. */
  readonly rejected: readonly DeadLetter[]
  /** Remarkable, whatever their verdict. */
  readonly unusual: readonly { readonly offset: bigint; readonly what: UnusualKind }[]
}

export interface ValidateParts<T> {
  /** The domain's verdict on the bytes. */
  readonly judge: (record: SourceRecord) => Verdict<T>
  /** Where a record counts from: what its headers claim has been held against the redrives. */
  readonly provenanceOf: ProvenanceOf
  readonly groupId: string
  /** How often a record is tried when the judge itself fails on it. */
  readonly maxAttempts: number
  readonly now: () => number
}

/**
 * Bytes to values, or to the reasons why not. An invalid record is a verdict, not a surprise. When the judge throws (a
 * bug of ours), the record that it throws on is to blame, unless it throws on all of them: then we are.
 * @throws what the judge threw, when no record of several got past it
 */
export function validate<T>(records: readonly SourceRecord[], parts: ValidateParts<T>): Validated<T> {
  const { groupId, maxAttempts, now } = parts
  const ready: ReadyRecord<T>[] = []
  const rejected: DeadLetter[] = []
  const unusual: { offset: bigint; what: UnusualKind }[] = []
  let surprises = 0
  for (const record of records) {
    const { origin, redrive, foreign } = parts.provenanceOf(record)
    if (foreign) unusual.push({ offset: record.offset, what: 'foreign_provenance' })
    let verdict: Verdict<T> | undefined
    let surprise: unknown
    let attempts = 0
    while (verdict === undefined && attempts < maxAttempts) {
      attempts += 1
      try {
        verdict = parts.judge(record)
      } catch (error) {
        surprise = error
      }
    }
    if (verdict?.ok) {
      ready.push(
        verdict.rows === undefined
          ? { record, origin, key: verdict.key, value: verdict.value, redrive }
          : new ScannedRecord(record, origin, redrive, verdict, verdict.rows),
      )
      for (const what of verdict.unusual ?? []) unusual.push({ offset: record.offset, what })
      continue
    }
    if (verdict === undefined) surprises += 1
    if (surprises === records.length && surprises > 1) throw surprise
    const failed = { record, origin, redrive, key: verdict?.key ?? null }
    const made = { groupId, failedAtMs: now(), attempts: verdict === undefined ? attempts : 1 }
    rejected.push(toDeadLetter(failed, verdict?.rejection ?? unexpected(surprise), made))
  }
  return { ready, rejected, unusual }
}

/** A record whose value is made only if it is asked for. */
class ScannedRecord<T> implements ReadyRecord<T> {
  readonly record: SourceRecord
  readonly origin: Origin
  readonly redrive: RecordRedrive | undefined
  readonly key: string
  readonly rows: EncodedRows
  readonly #verdict: ValidVerdict<T>

  constructor(
    record: SourceRecord,
    origin: Origin,
    redrive: RecordRedrive | undefined,
    verdict: ValidVerdict<T>,
    rows: EncodedRows,
  ) {
    this.record = record
    this.origin = origin
    this.redrive = redrive
    this.key = verdict.key
    this.rows = rows
    this.#verdict = verdict
  }

  get value(): T {
    return this.#verdict.value
  }

  json(): Buffer | undefined {
    return this.#verdict.json?.()
  }
}

/** The verdict on records that have crashed processes: they are dead-lettered without being decoded. @param deaths of each */
export function condemn(
  records: readonly SourceRecord[],
  deaths: number,
  { provenanceOf, groupId, now }: Pick<ValidateParts<unknown>, 'provenanceOf' | 'groupId' | 'now'>,
): Validated<never> {
  const rejection: Rejection = {
    reason: 'crash_loop',
    error: 'crash_loop',
    pointer: '',
    message: `the process ended ${deaths} times while it had only this record in hand`,
    violations: [],
  }
  const rejected = records.map(record => {
    const { origin, redrive } = provenanceOf(record)
    return toDeadLetter({ record, origin, redrive, key: null }, rejection, {
      groupId,
      failedAtMs: now(),
      attempts: deaths,
    })
  })
  return { ready: [], rejected, unusual: [] }
}

/** The verdicts on the records below this offset. */
export function below<T>(end: bigint, { ready, rejected, unusual }: Validated<T>): Validated<T> {
  return {
    ready: ready.filter(({ record }) => record.offset < end),
    rejected: rejected.filter(({ record }) => record.offset < end),
    unusual: unusual.filter(({ offset }) => offset < end),
  }
}

/** Offsets of those that were redriven. */
export function redrivenOf(ready: readonly ReadyRecord<unknown>[]): ReadonlySet<bigint> {
  return new Set(ready.flatMap(({ redrive, record }) => (redrive === undefined ? [] : record.offset)))
}

/** Names the kind of error only: its message may quote the record. */
function unexpected(error: unknown): Rejection {
  const name = error instanceof Error ? error.name : typeof error
  return {
    reason: 'unexpected_error',
    error: name,
    pointer: '',
    message: `processing this record failed with an unforeseen ${name}; it may succeed after an upgrade`,
    violations: [],
  }
}
