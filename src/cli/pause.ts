import { UsageError } from '../engine/errors.ts'
import { pauseByOperator } from '../engine/postgres/pauses.ts'
import { createPool } from '../engine/postgres/pool.ts'
import { manualPauseJson } from '../inbox/stream-ports.ts'
import { type ActingOptions, actingOperator } from './operator-name.ts'
import { note, print } from './output.ts'
import { loadSetup, oneStream } from './streams.ts'

interface PauseOptions extends ActingOptions {
  readonly stream?: string
  readonly partition?: number
  readonly because: string
  readonly json?: boolean
}

/** @throws PauseRefusal when the group has not begun the partition, or it is paused already */
export async function pause({ stream: name, partition, json, ...acting }: PauseOptions): Promise<void> {
  if (acting.because.trim() === '') throw new UsageError('--because is empty: say why, the audit log keeps it')
  const setup = await loadSetup()
  const stream = oneStream(setup, name)
  await using parts = new AsyncDisposableStack()
  const pool = createPool({ ...setup.config.postgres, max: 1, name: 'pause' })
  parts.defer(() => pool.end())
  const place = { stream: stream.name, topic: stream.topic, groupId: stream.groupId }
  const made = await pauseByOperator(
    pool,
    { ...place, ...(partition === undefined ? {} : { partition }) },
    actingOperator(setup.config, acting),
  )
  if (json) {
    print(JSON.stringify({ stream: stream.name, partition: made.partition ?? null, ...manualPauseJson(made) }))
    return
  }
  const [what, flag] =
    partition === undefined
      ? [`the stream ${stream.name}`, '']
      : [`partition ${partition}`, ` --partition ${partition}`]
  print(
    `${what} is paused by ${made.by}; a running service settles what it has in hand, and reads no more of it within seconds`,
  )
  note(`to go on: holdfast resume${setup.streams.length > 1 ? ` --stream ${stream.name}` : ''}${flag}`)
}
