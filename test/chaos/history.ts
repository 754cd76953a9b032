import type { World } from '../support/faults/world.ts'

/**
 * Notes each write of an order with the record that it came from, in the transaction of that write, by a trigger: so that
 * what happened in between can be told, and not only how it ended. Numbers of one order ascend as its row's lock went round.
 */
export async function recordHistory({ query }: World): Promise<void> {
  await query(`CREATE TABLE chaos_history (
    id bigserial PRIMARY KEY, order_uid text COLLATE "C" NOT NULL, source_partition integer NOT NULL, source_offset bigint NOT NULL)`)
  await query(`CREATE FUNCTION chaos_note() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO chaos_history (order_uid, source_partition, source_offset)
      VALUES (NEW.order_uid, NEW.source_partition, NEW.source_offset);
      RETURN NULL;
    END $$`)
  await query('CREATE TRIGGER chaos AFTER INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION chaos_note()')
}

export interface History {
  readonly writes: number
  /** Records that were written more than once, as `partition-offset`. */
  readonly repeated: readonly string[]
  /** Writes that put an older record over a newer one, in words. */
  readonly backwards: readonly string[]
}

export async function readHistory({ query }: World): Promise<History> {
  const [total] = await query<{ writes: string }>('SELECT count(*) AS writes FROM chaos_history')
  const repeated = await query<{ id: string }>(
    `SELECT source_partition || '-' || source_offset AS id FROM chaos_history
     GROUP BY source_partition, source_offset HAVING count(*) > 1 ORDER BY 1`,
  )
  const backwards = await query<{ order_uid: string; from: string; to: string }>(
    `SELECT order_uid, before AS "from", source_offset AS "to" FROM (
       SELECT order_uid, source_offset, lag(source_offset) OVER (PARTITION BY order_uid ORDER BY id) AS before
       FROM chaos_history) AS steps
     WHERE source_offset < before`,
  )
  return {
    writes: Number(total?.writes ?? 0),
    repeated: repeated.map(({ id }) => id),
    backwards: backwards.map(({ order_uid, from, to }) => `order ${order_uid} went back from offset ${from} to ${to}`),
  }
}
