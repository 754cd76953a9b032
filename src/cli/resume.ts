import { liftPauses } from '../engine/postgres/operator.ts'
import { createPool } from '../engine/postgres/pool.ts'
import { type ActingOptions, actingOperator } from './operator-name.ts'
import { note, print } from './output.ts'
import { loadSetup, oneStream } from './streams.ts'

interface ResumeOptions extends ActingOptions {
  readonly stream?: string
  readonly partition?: number
  readonly json?: boolean
}

export async function resume({ stream: name, partition, json, ...acting }: ResumeOptions): Promise<void> {
  const setup = await loadSetup()
  const stream = oneStream(setup, name)
  await using parts = new AsyncDisposableStack()
  const pool = createPool({ ...setup.config.postgres, max: 1, name: 'resume' })
  parts.defer(() => pool.end())
  const where = {
    stream: stream.name,
    topic: stream.topic,
    groupId: stream.groupId,
    ...(partition === undefined ? {} : { partition }),
  }
  const lifted = await liftPauses(pool, where, actingOperator(setup.config, acting))
  for (const { partition, pausedFor, deadLettersInARow } of lifted) {
    const row = { partition, paused_for: pausedFor, dead_letters_in_a_row: deadLettersInARow }
    print(
      json
        ? JSON.stringify({ stream: stream.name, ...row })
        : `partition ${partition} resumed (${pausedFor}, ${deadLettersInARow} dead letters in a row)`,
    )
  }
  if (lifted.length > 0) return
  const none = partition === undefined ? 'no partition waits' : `partition ${partition} does not wait`
  note(`nothing to resume: ${none} for an operator`)
}
