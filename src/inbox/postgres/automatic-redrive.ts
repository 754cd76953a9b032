import type pg from 'pg'
import { audit } from '../../engine/postgres/audit.ts'
import { pipelined, query, transaction } from '../../engine/postgres/pool.ts'
import type { AutomaticRedrive, AutomaticRedriveStatus } from '../stream-ports.ts'

const SWITCH = 'automatic_redrive'
/** The check runs at each full minute: see the schedule in jobs/. */
const LOOK_EVERY_MS = 60_000

/**
 * The switch of a stream's automatic redrives, which all processes share.
 * @param preset what holds until an operator changes it (`AUTO_REDRIVE`)
 */
export function createAutomaticRedrive(options: {
  readonly pool: pg.Pool
  readonly stream: string
  readonly preset: boolean
  readonly now: () => number
}): AutomaticRedrive {
  const { pool, stream, preset, now } = options

  async function status(): Promise<AutomaticRedriveStatus> {
    const [row] = await query<{ on_off: boolean; changed_by: string; changed_at: Date }>(pool, {
      text: 'SELECT on_off, changed_by, changed_at FROM holdfast.switches WHERE stream = $1 AND name = $2',
      values: [stream, SWITCH],
    })
    const on = row?.on_off ?? preset
    const nextMs = (Math.floor(now() / LOOK_EVERY_MS) + 1) * LOOK_EVERY_MS
    return {
      on,
      changed_by: row?.changed_by ?? null,
      changed_at: row?.changed_at.toISOString() ?? null,
      next_run: on ? new Date(nextMs).toISOString() : null,
    }
  }

  return {
    status,
    async set(on, by) {
      await transaction(pool, async client => {
        await pipelined(client, [
          'BEGIN',
          {
            text: `INSERT INTO holdfast.switches (stream, name, on_off, changed_by, changed_at) VALUES ($1, $2, $3, $4, clock_timestamp())
              ON CONFLICT (stream, name) DO UPDATE
                SET on_off = excluded.on_off, changed_by = excluded.changed_by, changed_at = excluded.changed_at`,
            values: [stream, SWITCH, on, by.who],
          },
          audit(stream, SWITCH, '', by, { on }),
          'COMMIT',
        ])
      })
      return await status()
    },
  }
}
