import type { Stream } from '#src/engine/stream.ts'
import type { World } from '../support/faults/world.ts'

type Asked = Pick<World, 'query'>
type Recorded = Pick<Stream, 'name' | 'plan'>

/**
 * Notes each write of a value with the record that it came from, in the transaction of that write, by a trigger: so that
 * intermediate states can be checked, and not only the last one. Numbers of one key ascend in the order of its row's locks.
 */
export async function recordHistory({ query }: Asked, streams: readonly Recorded[]): Promise<void> {
  await query(`CREATE TABLE chaos_history (
    id bigserial PRIMARY KEY, stream text NOT NULL, key text COLLATE "C" NOT NULL,
    source_partition integer NOT NULL, source_offset bigint NOT NULL)`)
  await query(`CREATE FUNCTION chaos_note() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO chaos_history (stream, key, source_partition, source_offset)
      VALUES (TG_ARGV[0], to_jsonb(NEW) ->> TG_ARGV[1], NEW.source_partition, NEW.source_offset);
      RETURN NULL;
    END $$`)
  for (const { name, plan } of streams) {
    await query(`CREATE TRIGGER chaos AFTER INSERT OR UPDATE ON ${plan.root.sqlName}
      FOR EACH ROW EXECUTE FUNCTION chaos_note('${name}', '${plan.key.column}')`)
  }
}

export interface History {
  readonly writes: number
  /** Records that were written more than once, as `partition-offset`. */
  readonly repeated: readonly string[]
  /** Writes that put an older record over a newer one, in words. */
  readonly backwards: readonly string[]
}

export async function readHistory({ query }: Asked, { name }: Pick<Recorded, 'name'>): Promise<History> {
  const [total] = await query<{ writes: string }>('SELECT count(*) AS writes FROM chaos_history WHERE stream = $1', [
    name,
  ])
  const repeated = await query<{ id: string }>(
    `SELECT source_partition || '-' || source_offset AS id FROM chaos_history WHERE stream = $1
     GROUP BY source_partition, source_offset HAVING count(*) > 1 ORDER BY 1`,
    [name],
  )
  const backwards = await query<{ key: string; from: string; to: string }>(
    `SELECT key, before AS "from", source_offset AS "to" FROM (
       SELECT key, source_offset, lag(source_offset) OVER (PARTITION BY key ORDER BY id) AS before
       FROM chaos_history WHERE stream = $1) AS steps
     WHERE source_offset < before`,
    [name],
  )
  return {
    writes: Number(total?.writes ?? 0),
    repeated: repeated.map(({ id }) => id),
    backwards: backwards.map(({ key, from, to }) => `${name} ${key} went back from offset ${from} to ${to}`),
  }
}
