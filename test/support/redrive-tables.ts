import type pg from 'pg'

/** What stands in the tables about redrives. */
export interface RedriveTables {
  letter(id: string): Promise<{ state: string; replay_id: string | null }>
  /** `id state outcome`, in the order of publishing. */
  items(redriveId: string): Promise<string[]>
  /** `id what who`, in the order in which it happened. */
  events(): Promise<string[]>
}

export function redriveTables(pool: pg.Pool): RedriveTables {
  return {
    async letter(id) {
      return (await pool.query('SELECT state, replay_id FROM holdfast.dead_letters WHERE id = $1', [id])).rows[0]
    },
    async items(redriveId) {
      const { rows } = await pool.query(
        'SELECT dead_letter_id AS id, state, outcome FROM holdfast.replay_items WHERE replay_id = $1 ORDER BY position',
        [redriveId],
      )
      return rows.map(({ id, state, outcome }) => [id, state, ...(outcome === null ? [] : [outcome])].join(' '))
    },
    async events() {
      const { rows } = await pool.query('SELECT dead_letter_id, what, who FROM holdfast.dead_letter_events ORDER BY id')
      return rows.map(({ dead_letter_id: id, what, who }) => `${id} ${what} ${who}`)
    },
  }
}
