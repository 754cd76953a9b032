import { eventually } from './service.ts'
import type { Stream } from './stream.ts'

/** As when its schedule comes: a job in the queue (`orders.ledger-merge`, say) of a running service, and its end. */
export async function runJob(stream: Stream, queue: string): Promise<void> {
  // (A queue takes one at a time: at the moment of the schedule there is one already.)
  const id = await eventually(async () => {
    const [job] = await stream.query<{ id: string }>(
      `INSERT INTO pgboss.job (name, policy, expire_seconds, retry_limit)
       SELECT name, policy, 600, 0 FROM pgboss.queue WHERE name = $1 ON CONFLICT DO NOTHING RETURNING id`,
      [queue],
    )
    return job?.id
  }, `the turn of a job of ${queue}`)
  await eventually(async () => {
    const done = await stream.query(`SELECT 1 FROM pgboss.job WHERE id = $1 AND state = 'completed'`, [id])
    return done.length > 0
  }, `the end of a job of ${queue}`)
}
