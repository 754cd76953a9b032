import { type AskRedrives, claimKey, claimOf, provenances } from '../provenance.ts'
import { compareOrigins, type Origin, originId, type SourceRecord, topicParts } from '../record.ts'
import type { StoredValue } from '../value-sql.ts'
import type { Verdict } from '../verdict.ts'
import { createDeepFindings, type DeepFinding, REMEMBERED_AT_MOST } from './deep-findings.ts'
import { differences } from './differences.ts'
import { createOffsetMarks, MARK, type OffsetMarks } from './offset-marks.ts'

/** Offsets `[from, to)` of a partition that are settled and still in the topic. */
export interface DeepRange {
  readonly partition: number
  readonly from: bigint
  readonly to: bigint
  /** Ranges in it that were passed over (skipped) and not read since: what stands there had no effect. */
  readonly passedOver: readonly { readonly from: bigint; readonly to: bigint }[]
}

/** The id of a record's dead letter, and whether that counts in a topic that was deleted: another record has the same id then. */
export function letterKey(origin: Pick<Origin, 'topic' | 'partition' | 'offset'>): string {
  return `${originId(origin)}${topicParts(origin.topic).formerId === undefined ? '' : FORMER_LETTER}`
}
/** At the end of such a key. */
export const FORMER_LETTER = '@'

/** The index entry of a record that was a dead letter once. */
export interface LetterFacts {
  /** `applied`: resolved, it had its effect. `set_aside`: it had none so far. `purged`: only its id is left. */
  readonly kind: 'applied' | 'set_aside' | 'purged'
  /** Values that operators redrove it with instead of its own. */
  readonly edits: readonly Buffer[]
}

export interface RowPosition {
  readonly key: string
  readonly partition: number
  readonly offset: bigint
  /** Written before the partition was last moved back, perhaps because the topic was created again. */
  readonly beforeMove: boolean
}

/** What the proof asks the store. Every answer is a snapshot of its own: the service may write between two of them. */
export interface DeepRows {
  positions(keys: readonly string[]): Promise<ReadonlyMap<string, Origin>>
  /** Whole values, from all tables; absent when a row is missing in one of them. */
  values(keys: readonly string[]): Promise<ReadonlyMap<string, StoredValue>>
  /** By {@link letterKey} of the record's first position. */
  letters(keys: readonly string[]): Promise<ReadonlyMap<string, LetterFacts>>
  /** As the pipeline asks. */
  readonly redrives: AskRedrives
  /** Which were removed on purpose. */
  erased(keys: readonly string[]): Promise<ReadonlySet<string>>
  /** Positions of all rows that came from the topic, page by page. */
  pages(): AsyncIterable<readonly RowPosition[]>
  /** Rows that came from other topics. */
  foreign(): Promise<number>
}

export interface DeepParts<T> {
  /** Name of the stream, for the findings. */
  readonly stream: string
  readonly topic: string
  readonly ranges: readonly DeepRange[]
  readonly read: (range: DeepRange) => AsyncIterable<SourceRecord>
  readonly judge: (record: Pick<SourceRecord, 'key' | 'value'>) => Verdict<T>
  readonly toJson: (value: T) => Buffer
  readonly rows: DeepRows
  /** So many offsets of the ranges have been read or read over. */
  readonly onRead?: (offsets: number) => void
}

export interface DeepProof {
  /** Records that were read. */
  readonly records: number
  /** Rows that were held against the record that wrote them. */
  readonly compared: number
  /** Rows that hold what an operator redrove instead of the record's own value. */
  readonly edited: number
  /** Rows whose record is not in the range that was read: removed by retention, younger, or of another topic. */
  readonly elsewhere: number
  /** Rows and records of which it cannot be known any more. */
  readonly unknown: number
  /** Values that were removed on purpose. */
  readonly erased: number
  readonly findings: readonly DeepFinding[]
}

/** A batch is as long as this, or as large: that much is in memory at a time, besides two bits an offset. */
const BATCH_RECORDS = 500
const BATCH_BYTES = 8 * 1024 * 1024
/** Single records that are read once more to find out which of two rows claims them rightly. */
const LOOKS_AT_MOST = 1_000

interface Candidate<T> {
  readonly record: SourceRecord
  readonly key: string
  readonly value: T
  readonly origin: Origin
  /** It may count with another position: then it demands nothing. */
  readonly unsure?: boolean
}

/**
 * Reads the settled part of a topic again and holds it against the rows. A record must never be newer than its row; a row at
 * the record's own position must hold its value; and each row that claims a position in what was read must have been met
 * there. So no map of keys is needed: memory is two bits for each offset and one batch.
 *
 * The rows may change meanwhile: below a settled offset a row only ever becomes newer, so what is read of it later is never
 * older than what the record demands.
 * @throws what `read` and `rows` throw
 */
export async function deepProof<T>(parts: DeepParts<T>): Promise<DeepProof> {
  const { topic, ranges, judge, toJson, rows } = parts
  const nameOf = (key: string) => `value ${key} of ${parts.stream}`
  const marks = new Map(ranges.map(range => [range.partition, createOffsetMarks(range.from, range.to)]))
  const findings = createDeepFindings()
  /** Newer by its timestamp than a row of another partition: whether that is wrong needs a second look. */
  const across = new Map<string, { readonly candidate: Candidate<T>; readonly row: Origin }>()
  const erased = new Set<string>()
  const edits = new Set<string>()
  let records = 0
  let unknown = 0
  let looks = 0

  let before = 0
  for (const range of ranges) {
    for await (const batch of batches(parts.read(range))) {
      await checkBatch(range, batch)
      records += batch.length
      const last = batch.at(-1)
      if (last !== undefined) parts.onRead?.(before + Number(last.offset + 1n - range.from))
    }
    // The last offsets may hold no record.
    before += Number(range.to - range.from)
    parts.onRead?.(before)
  }
  await lookAcross()
  const counted = await checkRows()
  return { records, ...counted, unknown, erased: erased.size, findings: findings.list() }

  async function checkBatch(range: DeepRange, batch: readonly SourceRecord[]): Promise<void> {
    const found = await withOrigins(batch.flatMap(record => toCandidate(range, record)))
    const stored = await rows.positions(unique(found.map(({ key }) => key)))
    const same = found.filter(({ key, origin }) => standsAt(stored.get(key), origin))
    await compare(same)
    const doubtful = found.filter(({ record, key, origin, unsure }) => {
      if (unsure) return false
      const row = stored.get(key)
      if (row !== undefined && !isNewer(origin, row)) return false
      return !range.passedOver.some(({ from, to }) => record.offset >= from && record.offset < to)
    })
    if (doubtful.length > 0) await explain(doubtful)
  }

  function toCandidate(range: DeepRange, record: SourceRecord): Candidate<T>[] {
    const marked = marks.get(range.partition)
    marked?.set(record.offset, MARK.record)
    const verdict = judged(record)
    if (!verdict?.ok) return []
    marked?.set(record.offset, MARK.valid)
    return [{ record, key: verdict.key, value: verdict.value, origin: record }]
  }

  /** One on which the judge fails has become a dead letter, too. */
  function judged(record: Pick<SourceRecord, 'key' | 'value'>): Verdict<T> | undefined {
    try {
      return judge(record)
    } catch {
      return undefined
    }
  }

  /**
   * A redriven record counts with its first position, by the rule of the pipeline. Where its letter was purged the index
   * says no more when that was: then it may be its row's at either place, and demands nothing.
   */
  async function withOrigins(found: readonly Candidate<T>[]): Promise<Candidate<T>[]> {
    const claiming = found.filter(({ record }) => claimOf(record) !== undefined)
    if (claiming.length === 0) return [...found]
    const forgotten = new Set<string>()
    const provenanceOf = await provenances(
      claiming.map(({ record }) => record),
      async claims => {
        const facts = await rows.redrives(claims)
        for (const [key, { timestampMs }] of facts) if (timestampMs === undefined) forgotten.add(key)
        return facts
      },
    )
    return found.flatMap((candidate): Candidate<T>[] => {
      const { origin, redrive } = provenanceOf(candidate.record)
      if (redrive === undefined) return [candidate]
      if (!forgotten.has(claimKey({ origin, redriveId: redrive.redriveId }))) return [{ ...candidate, origin }]
      return [candidate, { ...candidate, origin }].map(either => ({ ...either, unsure: true }))
    })
  }

  /** The row stood at the record's own position a moment ago. */
  async function compare(same: readonly Candidate<T>[]): Promise<void> {
    if (same.length === 0) return
    const values = await rows.values(unique(same.map(({ key }) => key)))
    const differing: { candidate: Candidate<T>; held: StoredValue | undefined }[] = []
    for (const candidate of same) {
      const held = values.get(candidate.key)
      if (held !== undefined && !standsAt(held.origin, candidate.origin)) continue
      markOf(candidate.origin)?.set(candidate.origin.offset, MARK.compared)
      const sameTime = held?.origin.timestampMs === candidate.origin.timestampMs
      if (!sameTime || !held?.json.equals(toJson(candidate.value))) differing.push({ candidate, held })
    }
    if (differing.length === 0) return
    const letters = await rows.letters(unique(differing.map(({ candidate }) => letterKey(candidate.origin))))
    for (const { candidate, held } of differing) {
      const letter = letters.get(letterKey(candidate.origin))
      if (letter?.kind === 'purged') unknown += 1
      else if (held !== undefined && isEdit(held, letter)) edits.add(candidate.key)
      else findings.add('differs', candidate.key, candidate.origin, whatDiffers(candidate, held))
    }
  }

  function whatDiffers({ key, value, origin }: Candidate<T>, held: StoredValue | undefined): string {
    if (held === undefined) return `${nameOf(key)} has no row in one of its tables`
    const pointers = differences(JSON.parse(held.json.toString()), JSON.parse(toJson(value).toString()))
    if (pointers.length > 0) return `${nameOf(key)} is not what its record says, in ${pointers.join(', ')}`
    return `${nameOf(key)} has the timestamp ${held.origin.timestampMs}, its record has ${origin.timestampMs}`
  }

  function isEdit(held: StoredValue, letter: LetterFacts | undefined): boolean {
    return (letter?.edits ?? []).some(value => {
      const verdict = judged({ key: null, value })
      return verdict?.ok === true && toJson(verdict.value).equals(held.json)
    })
  }

  /** Valid records whose row is missing, or older: most have become dead letters, or were removed on purpose. */
  async function explain(doubtful: readonly Candidate<T>[]): Promise<void> {
    const letters = await rows.letters(unique(doubtful.map(({ origin }) => letterKey(origin))))
    const gone = await rows.erased(unique(doubtful.map(({ key }) => key)))
    // Once more, after the letters: a redrive may have settled one of them since the rows were looked at.
    const stored = await rows.positions(unique(doubtful.map(({ key }) => key)))
    for (const candidate of doubtful) {
      const { key, origin } = candidate
      const letter = letters.get(letterKey(origin))
      const row = stored.get(key)
      if (letter?.kind === 'set_aside' || (row !== undefined && !isNewer(origin, row))) continue
      if (letter?.kind === 'purged') unknown += 1
      else if (row === undefined && gone.has(key)) erased.add(key)
      else if (row === undefined && letter !== undefined && letter.edits.length > 0) unknown += 1
      else if (row === undefined)
        findings.add('missing', key, origin, `${nameOf(key)} is missing: its record was settled`)
      else if (row.topic === origin.topic && row.partition === origin.partition) {
        findings.add('older', key, origin, olderThanRecord(nameOf(key), row))
      } else doubtAcross(candidate, row)
    }
  }

  function doubtAcross(candidate: Candidate<T>, row: Origin): void {
    const known = across.get(candidate.key)
    if (known === undefined && across.size >= REMEMBERED_AT_MOST) unknown += 1
    else if ((known?.candidate.origin.timestampMs ?? Number.NEGATIVE_INFINITY) < candidate.origin.timestampMs) {
      across.set(candidate.key, { candidate, row })
    }
  }

  /**
   * Between partitions the later timestamp wins, against what was stored at that time. A row may rightly stand there although
   * a record of another partition is younger, when an earlier version on the row's own partition was younger still.
   */
  async function lookAcross(): Promise<void> {
    if (across.size === 0) return
    const latest = new Map<string, number>()
    for (const range of ranges) {
      const wanted = [...across].filter(([, { row }]) => row.topic === topic && row.partition === range.partition)
      if (wanted.length === 0) continue
      for await (const record of parts.read(range)) {
        const verdict = judged(record)
        if (!verdict?.ok || !across.has(verdict.key)) continue
        const key = `${verdict.key} ${range.partition}`
        latest.set(key, Math.max(latest.get(key) ?? Number.NEGATIVE_INFINITY, record.timestampMs))
      }
    }
    for (const [key, { candidate, row }] of across) {
      const { origin } = candidate
      if ((latest.get(`${key} ${row.partition}`) ?? Number.NEGATIVE_INFINITY) >= origin.timestampMs) continue
      const range = ranges.find(({ partition }) => partition === row.partition)
      if (row.offset >= 0n && (row.topic !== topic || range === undefined || range.from > 0n)) unknown += 1
      else findings.add('older', key, origin, olderThanRecord(nameOf(key), row))
    }
  }

  /** Each row that claims a position in what was read must have been met there. */
  async function checkRows(): Promise<Pick<DeepProof, 'compared' | 'edited' | 'elsewhere'>> {
    let compared = 0
    let elsewhere = await rows.foreign()
    for await (const page of rows.pages()) {
      const unmet: RowPosition[] = []
      for (const row of page) {
        const marked = marks.get(row.partition)
        if (marked?.get(row.offset) === undefined) elsewhere += 1
        else if (marked.take(row.offset)) compared += 1
        else unmet.push(row)
      }
      if (unmet.length > 0) elsewhere += await explainUnmet(unmet)
    }
    return { compared, edited: edits.size, elsewhere }
  }

  /** @returns how many have become younger meanwhile */
  async function explainUnmet(unmet: readonly RowPosition[]): Promise<number> {
    let younger = 0
    const letters = await rows.letters(unmet.map(row => letterKey({ topic, ...row })))
    const values = await rows.values(unmet.map(({ key }) => key))
    for (const row of unmet) {
      const { key, partition, offset } = row
      const letter = letters.get(letterKey({ topic, ...row }))
      const held = values.get(key)
      const at = { partition, offset }
      if (held !== undefined && (held.origin.partition !== partition || held.origin.offset !== offset)) younger += 1
      else if (letter !== undefined && held !== undefined && isEdit(held, letter)) edits.add(key)
      else if (letter?.kind === 'applied' && letter.edits.length > 0) {
        findings.add('differs', key, at, `${nameOf(key)} is not what its dead letter was redriven with`)
      } else if (letter === undefined && !row.beforeMove && marks.get(partition)?.get(offset) === MARK.valid) {
        // Two rows may claim an offset, and the other one have been met first.
        if (looks++ < LOOKS_AT_MOST && (await isOwn(row))) continue
        findings.add('claims', key, at, `${nameOf(key)} claims a record that another value wrote or claims`)
      } else unknown += 1
    }
    return younger
  }

  async function isOwn({ key, partition, offset }: RowPosition): Promise<boolean> {
    for await (const record of parts.read({ partition, from: offset, to: offset + 1n, passedOver: [] })) {
      const verdict = judged(record)
      return verdict?.ok === true && verdict.key === key
    }
    return false
  }

  function markOf(origin: Origin): OffsetMarks | undefined {
    return origin.topic === topic ? marks.get(origin.partition) : undefined
  }
}

async function* batches(records: AsyncIterable<SourceRecord>): AsyncIterable<SourceRecord[]> {
  let batch: SourceRecord[] = []
  let bytes = 0
  for await (const record of records) {
    batch.push(record)
    bytes += record.value?.length ?? 0
    if (batch.length < BATCH_RECORDS && bytes < BATCH_BYTES) continue
    yield batch
    batch = []
    bytes = 0
  }
  if (batch.length > 0) yield batch
}

function standsAt(row: Origin | undefined, origin: Origin): boolean {
  return row !== undefined && placeOf(row) === placeOf(origin) && row.topic === origin.topic
}

/** With equal timestamps on different partitions, either record may have come last. */
function isNewer(origin: Origin, row: Origin): boolean {
  if (compareOrigins(origin, row) !== 'newer') return false
  const samePartition = origin.topic === row.topic && origin.partition === row.partition
  return samePartition || origin.timestampMs !== row.timestampMs
}

function olderThanRecord(value: string, row: Origin): string {
  // `verify --repair` gives the position before every record.
  if (row.offset < 0n) return `${value} was set back by verify --repair, and this record has not been read again`
  return `${value} stands at ${placeOf(row)}, older than its record`
}

function placeOf({ partition, offset }: { readonly partition: number; readonly offset: bigint }): string {
  return `${partition}-${offset}`
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)]
}
