import type pg from 'pg'
import type { DlqPosition } from '../dead-letter.ts'
import type { TablePlan } from '../definition/plan.ts'
import { grouped } from '../grouped.ts'
import { nearest } from '../nearest.ts'
import type { OutcomeCounts } from '../outcome.ts'
import type { Stream } from '../stream.ts'
import { pipelined, query, transaction } from './pool.ts'
import {
  type Checkpoint,
  CLOSED_LEDGER,
  type ClosedLedger,
  changedSince,
  closedJson,
  type DlqMark,
  readCheckpoint,
} from './proof-checkpoint.ts'
import { type CheckRow, checksOf } from './proof-checks.ts'
import { COUNT_BY_INDEX, checksSince } from './proof-checks-since.ts'

/** Something that does not add up. A finding fails the proof. */
export interface Finding {
  /** `undefined` when it is not about one partition. */
  readonly partition: number | undefined
  /** Where in the partition, when that is known. */
  readonly offset: bigint | undefined
  /** A sentence; it may name the key of a value, and no other data of it. */
  readonly what: string
  /** It was found by comparison with a checkpoint: what is stored now agrees with itself. */
  readonly changed?: boolean
}

/** `[from, to)` */
export interface OffsetRange {
  readonly partition: number
  readonly from: bigint
  readonly to: bigint
}

/** Ledger and progress of one partition, added up. */
export interface PartitionSums extends OutcomeCounts {
  readonly partition: number
  /** The first offset ever consumed. */
  readonly firstOffset: bigint
  readonly nextOffset: bigint
  /** From here on offsets were consumed, or the ledger says why not: `firstOffset`, or where an operator moved back to. */
  readonly accountedFrom: bigint
  /** Kafka's id of the topic in which they count; `undefined` when that is not known. */
  readonly topicId: string | undefined
  readonly records: number
  readonly gaps: number
  readonly expired: number
  readonly skipped: number
  /** Keys that were new, of those `written`, as far as they were counted. */
  readonly inserted: number
}

/** The database's half of the proof; the broker's half (commits, the DLQ topic) is added by `verify`. */
export interface Proof {
  readonly topic: string
  readonly groupId: string
  /** By partition; empty when the group has consumed nothing yet. */
  readonly partitions: readonly PartitionSums[]
  readonly totals: Omit<PartitionSums, 'partition' | 'firstOffset' | 'nextOffset' | 'accountedFrom' | 'topicId'>
  /** Rows by table: of the root table, and of those that hold the entries of an array. */
  readonly rows: { readonly tables: Readonly<Record<string, number>>; readonly deadLetters: number }
  /** Lost to retention before they were read: each is a finding, too. */
  readonly expired: readonly OffsetRange[]
  /** Moved by an operator, forward or (`to` below `from`) back: listed, and no finding. */
  readonly skipped: readonly OffsetRange[]
  readonly findings: readonly Finding[]
  /** The clock of the database at the snapshot, as text. */
  readonly at: string
  /** What of the ledger does not change any more. */
  readonly closed: readonly ClosedLedger[]
  /** From which it went on; `undefined`: everything was read. */
  readonly from: Checkpoint | undefined
}

/** Behind so many records a proof from a checkpoint takes no less than one that reads everything, and keeps their keys in memory. */
const RECORDS_SINCE_AT_MOST = 2_000_000

/** Findings of each kind that are listed, so that one broken table does not hide the others. */
const FINDINGS_OF_A_KIND = 20

/**
 * Goes on from the checkpoint that an earlier proof has left, unless there is none. Where something does not add up, everything is read after all: only
 * that names each place. What only a comparison with the checkpoint finds is a finding as well.
 * @param options.full read everything in any case
 * @throws as {@link readProof}
 */
export async function prove(
  pool: pg.Pool,
  stream: Pick<Stream, 'name' | 'topic' | 'groupId' | 'plan'>,
  { full = false }: { readonly full?: boolean } = {},
): Promise<Proof> {
  const checkpoint = full ? undefined : await readCheckpoint(pool, stream)
  if (checkpoint === undefined || checkpoint.recordsSince > RECORDS_SINCE_AT_MOST) return await readProof(pool, stream)
  const proof = await readProof(pool, stream, checkpoint)
  if (proof.findings.length === proof.expired.length) return proof
  const whole = await readProof(pool, stream)
  return { ...whole, findings: [...proof.findings.filter(({ changed }) => changed), ...whole.findings] }
}

/**
 * Computes the sums of the tables in one snapshot, so that it may run beside the service. Reads all rows of the stream, unless it goes on from a
 * checkpoint: give it a pool whose statement timeout is in minutes.
 * @throws StoreUnavailableError, StoreContendedError, StoreMisconfiguredError
 */
export async function readProof(
  pool: pg.Pool,
  { topic, groupId, plan }: Pick<Stream, 'topic' | 'groupId' | 'plan'>,
  from?: Checkpoint,
): Promise<Proof> {
  const tables = from === undefined ? [plan.root, ...plan.children] : []
  const counted = tables.filter(({ kind }) => kind !== 'one')
  return await transaction(pool, async client => {
    const begin = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY'
    await pipelined(client, from === undefined ? [begin] : [begin, COUNT_BY_INDEX])
    const [sums, ranges, rows, closed] = await pipelined(client, [
      { text: PARTITION_SUMS, values: [topic, groupId] },
      { text: UNREAD_RANGES, values: [topic, groupId] },
      { text: rowCounts(counted), values: [topic] },
      { text: CLOSED_LEDGER, values: [topic, groupId] },
    ])
    const findings: Finding[] = []
    // One after another: each may scan whole tables, and the time to wait for an answer runs from the sending.
    const checks = from === undefined ? checksOf(plan) : [changedSince(from), ...checksSince(plan, from.since)]
    for (const check of checks) {
      const { text, parameters, what } = check
      const values = [topic, groupId, closedJson(from?.partitions ?? [])].slice(0, parameters)
      const [answer] = await pipelined(client, [{ text: `${text}\nLIMIT ${FINDINGS_OF_A_KIND + 1}`, values }])
      const changed = parameters === 3 ? { changed: true } : {}
      findings.push(...toFindings(answer?.rows ?? [], what).map(finding => ({ ...finding, ...changed })))
    }
    if (sums?.rows.length === 0) findings.push(await nothingConsumed(client, plan.stream, topic, groupId))
    await pipelined(client, ['COMMIT'])

    const partitions = (sums?.rows ?? []).map(toSums)
    const unread = (ranges?.rows ?? []).map(toUnread)
    const expired = unread.filter(range => range.expired > 0)
    return {
      topic,
      groupId,
      partitions,
      totals: addUp(partitions),
      rows: {
        tables: Object.fromEntries(counted.map(({ name }, index) => [name, Number(rows?.rows[0]?.[`rows_${index}`])])),
        deadLetters: Number(rows?.rows[0]?.dead_letters),
      },
      expired: expired.map(toRange),
      skipped: unread.filter(range => range.skipped !== 0).map(toRange),
      at: String(rows?.rows[0]?.at),
      closed: closed?.rows ?? [],
      from,
      findings: [
        ...findings,
        ...expired.map(({ partition, from, to, expired: count }) => {
          const what = `${grouped(count)} offsets in [${from}, ${to}) were removed by retention before they were read`
          return { partition, offset: from, what }
        }),
      ],
    }
  })
}

/** A dead letter of the index, and where the index says that it stands in the DLQ topic, when that is known. */
export interface IndexedLetter {
  readonly id: string
  readonly partition: number
  readonly offset: bigint
  readonly dlq: DlqPosition | undefined
}

/**
 * Our own dead letters of a topic in the index, by id (`topic-partition-offset`), for comparison with the DLQ topic.
 * @param proven leaves out what a checkpoint has found there
 * @throws as {@link readProof}
 */
export async function* indexedLetters(
  pool: pg.Pool,
  topic: string,
  proven?: { readonly dlq: DlqMark; readonly since: string },
): AsyncIterable<IndexedLetter> {
  const ends = Object.entries(proven?.dlq.ends ?? {})
  const page = 5_000
  for (let after = '', rows: LetterRow[] = []; ; after = rows.at(-1)?.id ?? '') {
    rows = await query<LetterRow>(pool, {
      text: `SELECT id, source_partition, source_offset, dlq_partition, dlq_offset FROM holdfast.dead_letters AS d
        WHERE source_topic = $1 AND written_by = 'holdfast' AND id > $2 AND NOT EXISTS (
          SELECT FROM unnest($4::int4[], $5::int8[]) AS read (partition, before)
          WHERE d.dlq_partition = read.partition AND d.dlq_offset < read.before AND d.failed_at < $6::timestamptz)
        ORDER BY id LIMIT $3`,
      values: [topic, after, page, ends.map(([at]) => at), ends.map(([, end]) => end), proven?.since ?? null],
    })
    for (const { id, source_partition, source_offset, dlq_partition, dlq_offset } of rows) {
      const known = dlq_partition !== null && dlq_offset !== null
      const dlq = known ? { partition: dlq_partition, offset: BigInt(dlq_offset) } : undefined
      yield { id, partition: source_partition, offset: BigInt(source_offset), dlq }
    }
    if (rows.length < page) return
  }
}

interface LetterRow extends pg.QueryResultRow {
  readonly id: string
  readonly source_partition: number
  readonly source_offset: string
  readonly dlq_partition: number | null
  readonly dlq_offset: string | null
}

const SUMS = [
  'records',
  'written',
  'duplicate',
  'stale',
  'superseded',
  'dead_lettered',
  'gaps',
  'expired',
  'skipped',
  'inserted',
] as const

const PARTITION_SUMS = `
  SELECT p.partition, p.first_offset, p.next_offset, p.topic_id,
    least(p.first_offset, min(l.to_offset)) AS accounted_from,
    ${SUMS.map(name => `coalesce(sum(l.${name}), 0) AS ${name}`).join(', ')}
  FROM holdfast.stream_progress AS p LEFT JOIN holdfast.stream_ledger AS l USING (topic, partition, group_id)
  WHERE p.topic = $1 AND p.group_id = $2
  GROUP BY p.partition, p.first_offset, p.next_offset, p.topic_id ORDER BY p.partition`

/** Without progress nothing is proven; most often a name is misspelt, so the finding gives those under which this stream has some. */
async function nothingConsumed(
  client: pg.PoolClient,
  stream: string,
  topic: string,
  groupId: string,
): Promise<Finding> {
  const [answer] = await pipelined(client, [
    {
      text: `SELECT topic, group_id, count(*) AS partitions FROM holdfast.stream_progress WHERE stream = $1
        GROUP BY 1, 2 ORDER BY 1, 2 LIMIT ${KNOWN_AT_MOST}`,
      values: [stream],
    },
  ])
  const known: { topic: string; group_id: string; partitions: string }[] = answer?.rows ?? []
  const nothing = `the group ${groupId} has no progress in the topic ${topic}, so nothing is proven`
  const finding = (why: string) => ({ partition: undefined, offset: undefined, what: `${nothing}; ${why}` })
  if (known.length === 0) {
    return finding(
      `no group of the stream ${stream} has any: nothing was consumed yet, or DATABASE_URL names another database`,
    )
  }
  const list = known.map(row => `group ${row.group_id} in topic ${row.topic} (${row.partitions} partitions)`)
  const hints = [
    hint(
      'topic',
      topic,
      known.map(row => row.topic),
    ),
    hint(
      'group',
      groupId,
      known.map(row => row.group_id),
    ),
  ]
  return finding(`progress is there for ${list.join(', ')}${hints.join('')}`)
}

/** Names of a list that a finding gives. */
const KNOWN_AT_MOST = 20

function hint(what: string, name: string, known: readonly string[]): string {
  if (known.includes(name)) return ''
  const meant = nearest(name, known)
  return meant === undefined ? '' : `; is the ${what} ${meant} meant?`
}

const UNREAD_RANGES = `
  SELECT partition, from_offset, to_offset, expired, skipped FROM holdfast.stream_ledger
  WHERE topic = $1 AND group_id = $2 AND (expired > 0 OR skipped <> 0) ORDER BY partition, id`

function rowCounts(tables: readonly TablePlan[]): string {
  const counts = tables.map(({ sqlName }, index) => `(SELECT count(*) FROM ${sqlName}) AS rows_${index}`)
  const letters = '(SELECT count(*) FROM holdfast.dead_letters WHERE source_topic = $1) AS dead_letters'
  return `SELECT ${[...counts, letters, 'now()::text AS at'].join(', ')}`
}

function toSums(row: Readonly<Record<string, unknown>>): PartitionSums {
  return {
    partition: Number(row.partition),
    firstOffset: BigInt(String(row.first_offset)),
    nextOffset: BigInt(String(row.next_offset)),
    accountedFrom: BigInt(String(row.accounted_from)),
    topicId: row.topic_id === null ? undefined : String(row.topic_id),
    ...sums(name => Number(row[name])),
  }
}

function addUp(partitions: readonly PartitionSums[]): Proof['totals'] {
  return sums(name => partitions.reduce((sum, partition) => sum + partition[name], 0))
}

function sums(of: (name: (typeof SUMS)[number]) => number): Proof['totals'] {
  return {
    records: of('records'),
    written: of('written'),
    duplicate: of('duplicate'),
    stale: of('stale'),
    superseded: of('superseded'),
    dead_lettered: of('dead_lettered'),
    gaps: of('gaps'),
    expired: of('expired'),
    skipped: of('skipped'),
    inserted: of('inserted'),
  }
}

interface UnreadRange extends OffsetRange {
  readonly expired: number
  readonly skipped: number
}

function toUnread(row: Readonly<Record<string, unknown>>): UnreadRange {
  return {
    partition: Number(row.partition),
    from: BigInt(String(row.from_offset)),
    to: BigInt(String(row.to_offset)),
    expired: Number(row.expired),
    skipped: Number(row.skipped),
  }
}

function toRange({ partition, from, to }: OffsetRange): OffsetRange {
  return { partition, from, to }
}

function toFindings(rows: readonly CheckRow[], what: (row: CheckRow) => string): Finding[] {
  const findings = rows.slice(0, FINDINGS_OF_A_KIND).map(row => ({
    partition: row.partition ?? undefined,
    offset: row.position === null ? undefined : BigInt(row.position),
    what: what(row),
  }))
  const last = findings.at(-1)
  if (rows.length > FINDINGS_OF_A_KIND && last !== undefined) {
    findings.push({ partition: undefined, offset: undefined, what: `and more of the same: ${last.what}` })
  }
  return findings
}
