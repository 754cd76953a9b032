import type pg from 'pg'
import {
  type Lift,
  type Lifted,
  type LiftedPause,
  type ManualPause,
  type Operator,
  PauseRefusal,
  pauseText,
} from '../operator.ts'
import { audit } from './audit.ts'
import { WITHOUT_PAUSE } from './ledger.ts'
import { finish, pipelined, transaction } from './pool.ts'

/** A stream as its group consumes it. */
export interface StreamPlace {
  readonly stream: string
  readonly topic: string
  readonly groupId: string
}

export interface PauseRow {
  readonly partition: number | null
  readonly paused_by: string
  readonly because: string
  readonly paused_at: Date
}

const PAUSES =
  'SELECT partition, paused_by, because, paused_at FROM holdfast.stream_pauses WHERE topic = $1 AND group_id = $2'

/** Those that are in force, that of the whole stream first. */
export function readPauses({ topic, groupId }: Omit<StreamPlace, 'stream'>): pg.QueryConfig {
  return { name: 'stream_pauses', text: `${PAUSES} ORDER BY partition NULLS FIRST`, values: [topic, groupId] }
}

export function toManualPause({ partition, paused_by, because, paused_at }: PauseRow): ManualPause {
  return { partition: partition ?? undefined, by: paused_by, because, sinceMs: paused_at.getTime() }
}

/**
 * Holds a partition, or the whole stream with the partitions that it will have, until the pause is lifted. The service notices within
 * seconds, settles what it has in hand, and reads nothing more of it.
 * @throws PauseRefusal when the group has not begun the partition, or it is held already
 */
export async function pauseByOperator(
  pool: pg.Pool,
  place: StreamPlace & { readonly partition?: number },
  by: Operator,
): Promise<ManualPause> {
  const { stream, topic, groupId, partition } = place
  return await transaction(pool, async client => {
    const [, begun] = await pipelined(client, [
      'BEGIN',
      {
        text: 'SELECT partition FROM holdfast.stream_progress WHERE topic = $1 AND group_id = $2 ORDER BY partition',
        values: [topic, groupId],
      },
    ])
    const known = (begun?.rows ?? []).map(row => Number(row.partition))
    if (partition !== undefined && !known.includes(partition)) throw notBegun(place, partition, known)
    const [made] = await pipelined(client, [
      {
        text: `INSERT INTO holdfast.stream_pauses (stream, topic, group_id, partition, paused_by, because) VALUES ($1, $2, $3, $4, $5, $6)
          ON CONFLICT DO NOTHING RETURNING partition, paused_by, because, paused_at`,
        values: [stream, topic, groupId, partition ?? null, by.who, by.because],
      },
    ])
    const row: PauseRow | undefined = made?.rows[0]
    if (row === undefined) {
      const [found] = await pipelined(client, [readPauses(place)])
      const before = (found?.rows ?? []).map(toManualPause).find(pause => pause.partition === partition)
      throw new PauseRefusal(
        'already_paused',
        before === undefined
          ? 'it is paused already'
          : `${pauseText(before)} already; to give another reason, resume it first`,
      )
    }
    await finish(client, [audit(stream, 'pause', filterOf(place), by, { paused: 1 })])
    return toManualPause(row)
  })
}

/**
 * Lifts pauses that wait for an operator; the service notices within seconds. Without a partition: the pause of the whole stream where
 * there is one, else those of all its partitions.
 * @param lift needed only where an operator and the storm guard have both paused what is asked for
 * @throws PauseRefusal when it is not said which of two kinds, or only a pause of the whole stream holds the partition
 */
export async function liftPauses(
  pool: pg.Pool,
  place: StreamPlace & { readonly partition?: number; readonly lift?: Lift | undefined },
  by: Operator,
): Promise<Lifted> {
  const { stream, topic, groupId, partition, lift } = place
  const values = [topic, groupId, partition ?? null]
  return await transaction(pool, async client => {
    const [, manual, stopped] = await pipelined(client, [
      'BEGIN',
      {
        text: `${PAUSES} AND ($3::integer IS NULL OR partition = $3 OR partition IS NULL) ORDER BY partition NULLS FIRST FOR UPDATE`,
        values,
      },
      {
        text: `SELECT partition, dead_letters_in_a_row FROM holdfast.stream_progress
          WHERE topic = $1 AND group_id = $2 AND ($3::integer IS NULL OR partition = $3) AND paused_for IS NOT NULL
          ORDER BY partition FOR UPDATE`,
        values,
      },
    ])
    const pauses: ManualPause[] = (manual?.rows ?? []).map(toManualPause)
    const [whole] = pauses.filter(pause => pause.partition === undefined)
    const own = pauses.filter(pause => pause.partition !== undefined)
    const asked = partition === undefined && whole !== undefined ? [whole] : own
    const guarded: { readonly partition: number; readonly dead_letters_in_a_row: string }[] = stopped?.rows ?? []
    if (lift === undefined && asked.length > 0 && guarded.length > 0) throw twoKinds(asked, guarded)
    const manually = lift === 'storm_guard' ? [] : asked
    const fromGuard = lift === 'operator' ? [] : guarded
    if (whole !== undefined && lift !== 'storm_guard' && manually.length + fromGuard.length === 0) {
      throw new PauseRefusal('stream_paused', `${pauseText(whole)}: lift that, without naming a partition`)
    }
    const lifted: LiftedPause[] = [
      ...manually.map(pause => ({ partition: pause.partition, kind: 'operator' as const, deadLettersInARow: 0 })),
      ...fromGuard.map(row => ({
        partition: Number(row.partition),
        kind: 'storm_guard' as const,
        deadLettersInARow: Number(row.dead_letters_in_a_row),
      })),
    ]
    await finish(client, [
      {
        text: 'DELETE FROM holdfast.stream_pauses WHERE topic = $1 AND group_id = $2 AND coalesce(partition, -1) = ANY ($3::integer[])',
        values: [topic, groupId, manually.map(pause => pause.partition ?? -1)],
      },
      {
        text: `UPDATE holdfast.stream_progress SET ${WITHOUT_PAUSE} WHERE topic = $1 AND group_id = $2 AND partition = ANY ($3::integer[])`,
        values: [topic, groupId, fromGuard.map(row => row.partition)],
      },
      audit(stream, 'resume', filterOf(place), by, { lifted: lifted.length }),
    ])
    return { lifted, remaining: pauses.filter(pause => !manually.includes(pause)) }
  })
}

function filterOf({
  topic,
  groupId,
  partition,
}: Omit<StreamPlace, 'stream'> & { readonly partition?: number }): string {
  return `topic:${topic} group:${groupId}${partition === undefined ? '' : ` partition:${partition}`}`
}

function notBegun({ topic, groupId }: StreamPlace, partition: number, known: readonly number[]): PauseRefusal {
  const has = known.length === 0 ? 'none yet' : known.join(', ')
  return new PauseRefusal(
    'no_such_partition',
    `the group ${groupId} has not begun partition ${partition} of ${topic}, only ${has}: a pause of the whole stream covers partitions that come later`,
  )
}

function twoKinds(asked: readonly ManualPause[], guarded: readonly { readonly partition: number }[]): PauseRefusal {
  const stopped = guarded.map(({ partition }) => partition).join(', ')
  return new PauseRefusal(
    'two_pauses',
    `two kinds of pause are in force: ${asked.map(pauseText).join('; ')}, and the storm guard stopped ${guarded.length === 1 ? 'partition' : 'partitions'} ${stopped}; ` +
      'say which to lift: operator, storm_guard or all',
  )
}
