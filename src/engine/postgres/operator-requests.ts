import type pg from 'pg'
import type { RequestStore } from '../operator.ts'
import type { LeaveFormerTopic } from './former-topic.ts'
import { carryOut } from './moves.ts'
import { readPauses, toManualPause } from './pauses.ts'
import { pipelined, withClient } from './pool.ts'

/**
 * What operators ask of a stream, as the process that consumes it reads it.
 * @param leave what a move into a topic that was created again adds to its transaction; default: nothing
 */
export function createOperatorRequests(
  pool: pg.Pool,
  { topic, groupId }: { readonly topic: string; readonly groupId: string },
  leave?: LeaveFormerTopic,
): RequestStore {
  return {
    async read() {
      return await withClient(pool, async client => {
        const [pauses, moves] = await pipelined(client, [
          readPauses({ topic, groupId }),
          {
            name: 'stream_moves_waiting',
            text: `SELECT id, partition, to_offset FROM holdfast.stream_moves
              WHERE topic = $1 AND group_id = $2 AND moved_at IS NULL AND expires_at > now()`,
            values: [topic, groupId],
          },
        ])
        return {
          pauses: (pauses?.rows ?? []).map(toManualPause),
          moves: (moves?.rows ?? []).map(({ id, partition, to_offset }) => {
            return { id: String(id), partition: Number(partition), to: BigInt(to_offset) }
          }),
        }
      })
    },
    move: ({ id }) => carryOut(pool, id, leave),
  }
}
