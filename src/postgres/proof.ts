import type pg from 'pg'
import type { OutcomeCounts } from '../core/outcome.ts'
import { pipelined, query, transaction } from './pool.ts'
import { CHECKS, type CheckRow } from './proof-checks.ts'

/** Something that does not add up. A finding fails the proof. */
export interface Finding {
  /** `undefined` when it is not about one partition. */
  readonly partition: number | undefined
  /** Where in the partition, when that is known. */
  readonly offset: bigint | undefined
  /** A sentence; it may name an order's uid, and no other data of it. */
  readonly what: string
}

/** `[from, to)` */
export interface OffsetRange {
  readonly partition: number
  readonly from: bigint
  readonly to: bigint
}

/** The books of one partition, added up. */
export interface PartitionBooks extends OutcomeCounts {
  readonly partition: number
  /** The first offset ever consumed. */
  readonly firstOffset: bigint
  readonly nextOffset: bigint
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
  readonly partitions: readonly PartitionBooks[]
  readonly totals: Omit<PartitionBooks, 'partition' | 'firstOffset' | 'nextOffset' | 'topicId'>
  readonly rows: { readonly orders: number; readonly items: number; readonly deadLetters: number }
  /** Lost to retention before they were read: each is a finding, too. */
  readonly expired: readonly OffsetRange[]
  /** Moved by an operator, forward or (`to` below `from`) back: listed, and no finding. */
  readonly skipped: readonly OffsetRange[]
  readonly findings: readonly Finding[]
}

/** Of each kind, so that one broken table does not bury the others. */
const FINDINGS_OF_A_KIND = 20

/**
 * Adds up what the tables say, in one snapshot, so that it may run beside the service. Reads all orders and items: give it
 * a pool whose statement timeout is in minutes.
 * @throws StoreUnavailableError, StoreContendedError, StoreMisconfiguredError
 */
export async function readProof(pool: pg.Pool, topic: string, groupId: string): Promise<Proof> {
  return await transaction(pool, async client => {
    await pipelined(client, ['BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY'])
    const [books, ranges, rows] = await pipelined(client, [
      { text: BOOKS, values: [topic, groupId] },
      { text: UNREAD_RANGES, values: [topic, groupId] },
      { text: ROWS, values: [topic] },
    ])
    const findings: Finding[] = []
    // One after another: each may scan whole tables, and the time to wait for an answer runs from the sending.
    for (const { text, parameters, what } of CHECKS) {
      const values = [topic, groupId].slice(0, parameters)
      const [answer] = await pipelined(client, [{ text: `${text}\nLIMIT ${FINDINGS_OF_A_KIND + 1}`, values }])
      findings.push(...toFindings(answer?.rows ?? [], what))
    }
    await pipelined(client, ['COMMIT'])

    const partitions = (books?.rows ?? []).map(toBooks)
    const unread = (ranges?.rows ?? []).map(toUnread)
    const expired = unread.filter(range => range.expired > 0)
    return {
      topic,
      groupId,
      partitions,
      totals: addUp(partitions),
      rows: {
        orders: Number(rows?.rows[0]?.orders),
        items: Number(rows?.rows[0]?.items),
        deadLetters: Number(rows?.rows[0]?.dead_letters),
      },
      expired: expired.map(toRange),
      skipped: unread.filter(range => range.skipped !== 0).map(toRange),
      findings: [
        ...findings,
        ...expired.map(({ partition, from, to, expired: count }) => {
          const what = `${count} offsets in [${from}, ${to}) were removed by retention before they were read`
          return { partition, offset: from, what }
        }),
      ],
    }
  })
}

/**
 * Our own dead letters of a topic in the index, by id (`topic-partition-offset`), for comparison with the DLQ topic.
 * @throws as {@link readProof}
 */
export async function* deadLetterIds(pool: pg.Pool, topic: string): AsyncIterable<string> {
  const page = 5_000
  for (let after = '', rows: { id: string }[] = []; ; after = rows.at(-1)?.id ?? '') {
    rows = await query<{ id: string }>(pool, {
      text: `SELECT id FROM dead_letters WHERE source_topic = $1 AND written_by = 'holdfast' AND id > $2
        ORDER BY id LIMIT $3`,
      values: [topic, after, page],
    })
    for (const row of rows) yield row.id
    if (rows.length < page) return
  }
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

const BOOKS = `
  SELECT p.partition, p.first_offset, p.next_offset, p.topic_id, ${SUMS.map(name => `coalesce(sum(l.${name}), 0) AS ${name}`).join(', ')}
  FROM stream_progress AS p LEFT JOIN stream_ledger AS l USING (topic, partition, group_id)
  WHERE p.topic = $1 AND p.group_id = $2
  GROUP BY p.partition, p.first_offset, p.next_offset, p.topic_id ORDER BY p.partition`

const UNREAD_RANGES = `
  SELECT partition, from_offset, to_offset, expired, skipped FROM stream_ledger
  WHERE topic = $1 AND group_id = $2 AND (expired > 0 OR skipped <> 0) ORDER BY partition, id`

const ROWS = `
  SELECT (SELECT count(*) FROM orders) AS orders, (SELECT count(*) FROM items) AS items,
    (SELECT count(*) FROM dead_letters WHERE source_topic = $1) AS dead_letters`

function toBooks(row: Readonly<Record<string, unknown>>): PartitionBooks {
  return {
    partition: Number(row.partition),
    firstOffset: BigInt(String(row.first_offset)),
    nextOffset: BigInt(String(row.next_offset)),
    topicId: row.topic_id === null ? undefined : String(row.topic_id),
    ...sums(name => Number(row[name])),
  }
}

function addUp(partitions: readonly PartitionBooks[]): Proof['totals'] {
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
