import { ownSizeOf } from '../../engine/batch.ts'
import type { DeadLetter } from '../../engine/dead-letter.ts'
import { originId, topicParts } from '../../engine/record.ts'
import { timestampToInt64 } from '../../engine/timestamp.ts'
import type { Column, Statement } from '../../engine/value-sql.ts'
import { SETTLED, sqlList } from '../letter-states.ts'
import type { WrittenBy } from '../ports.ts'

/** `failures`: how often the letter stands in this batch. Once, but for a record that was redriven twice at a time. */
export interface IndexRow {
  readonly id: string
  /** Whose dead letter it is. */
  readonly stream: string
  readonly letter: DeadLetter
  readonly failures: number
  /** Default: we did. */
  readonly writtenBy?: WrittenBy
}

interface Field {
  readonly name: string
  readonly type: Column['type']
  /** When the table's type is another one. */
  readonly select?: string
  readonly column: (rows: readonly IndexRow[]) => Column
}

const text = (name: string, of: (letter: DeadLetter) => string): Field => {
  return { name, type: 'text', column: rows => ({ type: 'text', values: rows.map(row => clean(of(row.letter))) }) }
}
const int8 = (name: string, of: (row: IndexRow) => number | bigint): Field => {
  return { name, type: 'int8', column: rows => ({ type: 'int8', values: rows.map(of) }) }
}
const int4 = (name: string, of: (letter: DeadLetter) => number): Field => {
  return { name, type: 'int4', column: rows => ({ type: 'int4', values: rows.map(row => of(row.letter)) }) }
}

const FIELDS: readonly Field[] = [
  { name: 'id', type: 'text', column: rows => ({ type: 'text', values: rows.map(row => row.id) }) },
  { name: 'stream', type: 'text', column: rows => ({ type: 'text', values: rows.map(row => row.stream) }) },
  text('reason', letter => letter.rejection.reason),
  text('error', letter => letter.rejection.error),
  text('pointer', letter => letter.rejection.pointer),
  text('message', letter => letter.rejection.message),
  {
    ...text('violations', ({ rejection }) => {
      const violations = rejection.violations.map(({ pointer, keyword, message }) => {
        return { pointer: clean(pointer), keyword: clean(keyword), message: clean(message) }
      })
      return JSON.stringify(violations)
    }),
    select: 'violations::jsonb',
  },
  { ...text('key', letter => letter.key ?? ''), select: "nullif(key, '')" },
  text('group_id', letter => letter.groupId),
  text('source_topic', letter => topicParts(letter.origin.topic).name),
  {
    ...text('former_topic_id', letter => topicParts(letter.origin.topic).formerId ?? ''),
    select: "nullif(former_topic_id, '')",
  },
  int4('source_partition', letter => letter.origin.partition),
  int8('source_offset', ({ letter }) => letter.origin.offset),
  int8('source_timestamp', ({ letter }) => timestampToInt64(letter.origin.timestampMs)),
  { name: 'failed_at', type: 'timestamptz', column: failedAt },
  { name: 'first_failed_at', type: 'timestamptz', column: failedAt },
  int8('failures', row => row.failures),
  int4('attempts', letter => letter.attempts),
  int4('replay_count', letter => letter.redriveCount),
  int8('bytes', ({ letter }) => ownSizeOf(letter.record)),
  { ...int4('dlq_partition', letter => letter.dlq?.partition ?? -1), select: 'nullif(dlq_partition, -1)' },
  { ...int8('dlq_offset', ({ letter }) => letter.dlq?.offset ?? -1n), select: 'nullif(dlq_offset, -1)' },
  { ...text('replay_id', letter => letter.redriveId ?? ''), select: "nullif(replay_id, '')" },
  { name: 'state_changed_at', type: 'timestamptz', column: failedAt },
  {
    name: 'written_by',
    type: 'text',
    column: rows => ({ type: 'text', values: rows.map(({ writtenBy = 'holdfast' }) => writtenBy) }),
  },
]

/** What a later failure of the same record replaces. Its place and its first failure stay. */
const RENEWED = ['reason', 'error', 'pointer', 'message', 'violations', 'key', 'group_id']

/** What only another record at the same position replaces. */
const OF_RECORD = ['former_topic_id', 'source_timestamp', 'first_failed_at']

const NAMES = FIELDS.map(field => field.name).join(', ')

/** Columns of letters as parameters of a statement. */
export const LETTER_INPUT = {
  names: NAMES,
  /** What of {@link LETTER_INPUT.input} goes into the columns. */
  select: FIELDS.map(field => field.select ?? field.name).join(', '),
  /** `unnest($1::text[], …) AS input (id, …)` */
  input: `unnest(${FIELDS.map((field, i) => `$${i + 1}::${field.type}[]`).join(', ')}) AS input (${NAMES})`,
  columns: (rows: readonly IndexRow[]): Column[] => FIELDS.map(field => field.column(rows)),
}

/**
 * The known letter is of a topic that was deleted, and a record of the topic that has its name now failed at the same position. The index
 * has one letter of an id: that of the topic that there is.
 */
const IS_ANOTHER = 'known.former_topic_id IS NOT NULL AND excluded.former_topic_id IS NULL'

/** The other way round: what failed once more, in a redrive, is of a deleted topic, and its letter has gone from the index for that reason. */
const IS_GONE = 'known.former_topic_id IS NULL AND excluded.former_topic_id IS NOT NULL'

/**
 * The state of a letter whose record failed once more. A resolved letter had its effect, and a discarded one was decided by
 * an operator: both keep their state. A letter that another redrive holds waits for the record of that redrive. Without a
 * redrive, the record was merely read again.
 */
const STATE_AFTER_FAILURE = `CASE
    WHEN ${IS_ANOTHER} THEN excluded.state
    WHEN known.state IN (${sqlList(SETTLED)}) THEN known.state
    WHEN known.state = 'replaying' AND excluded.replay_id <> known.replay_id THEN known.state
    WHEN excluded.replay_count > known.replay_count OR known.state = 'replaying' AND excluded.replay_id IS NOT NULL
      THEN excluded.state
    ELSE known.state END`

/** What a further failure makes of the columns of a letter, but for the number of failures. */
const AFTER_FAILURE: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    [...RENEWED, 'failed_at', 'attempts', 'bytes', 'written_by'].map(name => [name, `excluded.${name}`]),
  ),
  ...Object.fromEntries(
    OF_RECORD.map(name => [name, `CASE WHEN ${IS_ANOTHER} THEN excluded.${name} ELSE known.${name} END`]),
  ),
  dlq_partition: 'CASE WHEN excluded.dlq_offset IS NULL THEN known.dlq_partition ELSE excluded.dlq_partition END',
  dlq_offset: 'coalesce(excluded.dlq_offset, known.dlq_offset)',
  replay_count: `CASE WHEN ${IS_ANOTHER} THEN excluded.replay_count ELSE greatest(known.replay_count, excluded.replay_count) END`,
  replay_id: `CASE WHEN ${IS_ANOTHER} THEN excluded.replay_id ELSE coalesce(known.replay_id, excluded.replay_id) END`,
  state: STATE_AFTER_FAILURE,
  state_changed_at: `CASE WHEN known.state = ${STATE_AFTER_FAILURE} THEN known.state_changed_at ELSE excluded.state_changed_at END`,
}

/** State of a letter that is new to the index. */
function firstState(redriveMax: number): string {
  return `CASE WHEN replay_count >= ${redriveMax} THEN 'parked' ELSE 'open' END`
}

function indexSql(redriveMax: number): string {
  return `
  INSERT INTO holdfast.dead_letters AS known (${NAMES}, state)
  SELECT ${LETTER_INPUT.select}, ${firstState(redriveMax)}
  FROM ${LETTER_INPUT.input}
  ON CONFLICT (id) DO UPDATE SET
    failures = known.failures + excluded.failures,
    ${Object.entries(AFTER_FAILURE)
      .map(([name, value]) => `${name} = CASE WHEN ${IS_GONE} THEN known.${name} ELSE ${value} END`)
      .join(',\n    ')}`
}

/**
 * A failure that no batch has settled and that left no copy in the DLQ topic: place, size and writer of the copy that there is stay, and
 * so does the number of failures, which the ledger proves.
 */
function renewSql(redriveMax: number): string {
  const input = FIELDS.map(({ name, select }) => (select === undefined ? name : `${select} AS ${name}`)).join(', ')
  return `
  UPDATE holdfast.dead_letters AS known SET
    ${RENEWED.map(name => `${name} = ${name === 'key' ? 'coalesce(excluded.key, known.key)' : `excluded.${name}`}`).join(', ')},
    failed_at = excluded.failed_at, attempts = excluded.attempts,
    replay_count = greatest(known.replay_count, excluded.replay_count),
    state = ${STATE_AFTER_FAILURE},
    state_changed_at = CASE WHEN known.state = ${STATE_AFTER_FAILURE} THEN known.state_changed_at
      ELSE excluded.state_changed_at END
  FROM (SELECT ${input}, ${firstState(redriveMax)} AS state FROM ${LETTER_INPUT.input}) AS excluded
  WHERE known.id = excluded.id AND NOT (${IS_GONE})`
}

/** Never parks. */
const NO_REDRIVE_MAX = 2_147_483_647

/**
 * The rows of `dead_letters` for a batch of a stream. A record that failed before (the same origin) keeps its row: with a redrive
 * behind it, it is open again, or parked after `redriveMax` of them; without one it was merely read again, and what an
 * operator decided about it stands.
 */
export function indexStatement(stream: string, letters: readonly DeadLetter[], redriveMax = NO_REDRIVE_MAX): Statement {
  return {
    name: `dead_letters_index_${redriveMax}`,
    text: indexSql(redriveMax),
    columns: LETTER_INPUT.columns(rowsOf(stream, letters)),
  }
}

/** The rows of letters that failed again in a redrive into the store: open once more, or parked. */
export function renewStatement(stream: string, letters: readonly DeadLetter[], redriveMax = NO_REDRIVE_MAX): Statement {
  return {
    name: `dead_letters_renew_${redriveMax}`,
    text: renewSql(redriveMax),
    columns: LETTER_INPUT.columns(rowsOf(stream, letters)),
  }
}

function rowsOf(stream: string, letters: readonly DeadLetter[]): IndexRow[] {
  const rows = new Map<string, IndexRow>()
  for (const letter of letters) {
    const id = originId(letter.origin)
    const known = rows.get(id)
    // As in the index: a letter of the topic that there is goes before one of a deleted topic.
    const kept = known !== undefined && isFormer(letter) && !isFormer(known.letter) ? known.letter : letter
    rows.set(id, { id, stream, letter: kept, failures: (known?.failures ?? 0) + 1 })
  }
  // Sorted by id for the same reason as orders are: two lanes must not wait for one another.
  return [...rows.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
}

function isFormer({ origin }: DeadLetter): boolean {
  return topicParts(origin.topic).formerId !== undefined
}

function failedAt(rows: readonly IndexRow[]): Column {
  return { type: 'timestamptz', values: rows.map(row => BigInt(row.letter.failedAtMs) * 1000n) }
}

/** A dead letter that the index refuses would block its partition for ever, so its texts are made to fit. */
export function clean(value: string): string {
  return value.toWellFormed().replaceAll('\0', '\ufffd')
}
