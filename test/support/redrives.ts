import { HEADER, headerText } from '#src/engine/headers.ts'
import type { Redrive } from '#src/inbox/redrive-ports.ts'
import { holdfast } from './cli.ts'
import type { Stream } from './stream.ts'

/** A redriven record, as it stands in the source topic. */
export interface Redriven {
  /** The id of its dead letter. */
  readonly id: string
  readonly redriveId: string
  /** When it was produced. */
  readonly atMs: number
}

/** In the order of partitions and offsets. */
export async function redriven(stream: Stream): Promise<Redriven[]> {
  return (await stream.readAll(stream.topic)).flatMap(record => {
    const redriveId = headerText(record, HEADER.redriveId)
    return redriveId === undefined
      ? []
      : [{ id: headerText(record, HEADER.id) ?? '', redriveId, atMs: record.timestampMs }]
  })
}

/** The rows of a redrive that has published these letters; its records are the caller's to produce. */
export async function aRedrive({ query }: Pick<Stream, 'query'>, redriveId: string, ...ids: string[]): Promise<void> {
  await query(
    `INSERT INTO holdfast.replays (id, state, filter, requested_by, because, automatic, only_passing, edited, total)
      VALUES ($1, 'done', '', 'test', '', false, false, false, 0) ON CONFLICT DO NOTHING`,
    [redriveId],
  )
  await query(
    `INSERT INTO holdfast.replay_items (replay_id, position, dead_letter_id, state)
      SELECT $1, nth + (SELECT count(*) FROM holdfast.replay_items WHERE replay_id = $1), id, 'published'
      FROM unnest($2::text[]) WITH ORDINALITY AS members (id, nth) ON CONFLICT DO NOTHING`,
    [redriveId, ids],
  )
}

/** The redrives that `holdfast dlq redrives` lists, the latest first. */
export async function redrives(stream: Stream): Promise<Redrive[]> {
  const { stdout } = await holdfast(stream, 'dlq', 'replays', '--json')
  const lines = stdout.split('\n').filter(line => line !== '')
  return lines.map(line => JSON.parse(line) as Redrive)
}

/** Members of redrives by their states, quickly. */
export async function membersIn(stream: Stream, ...states: readonly string[]): Promise<number> {
  const [row] = await stream.query<{ count: number }>(
    'SELECT count(*)::int AS count FROM holdfast.replay_items WHERE state = ANY ($1)',
    [states],
  )
  return row?.count ?? 0
}

/** Dead letters by `state replay_count`. */
export async function letterCounts(stream: Stream): Promise<Readonly<Record<string, number>>> {
  const rows = await stream.query<{ state: string; replay_count: number; count: number }>(
    'SELECT state, replay_count, count(*)::int AS count FROM holdfast.dead_letters GROUP BY state, replay_count',
  )
  return Object.fromEntries(rows.map(row => [`${row.state} ${row.replay_count}`, row.count]))
}

/** Awaits a command that must fail. @returns its exit code and output */
export async function failing(command: Promise<unknown>): Promise<{ code: number; stdout: string; stderr: string }> {
  try {
    await command
  } catch (error) {
    return error as { code: number; stdout: string; stderr: string }
  }
  throw new Error('the command succeeded')
}
