import { UsageError } from '../engine/errors.ts'
import { type Lift, PauseRefusal, pauseText } from '../engine/operator.ts'
import { liftPauses } from '../engine/postgres/pauses.ts'
import { createPool } from '../engine/postgres/pool.ts'
import { liftedJson } from '../inbox/stream-ports.ts'
import { type ActingOptions, actingOperator } from './operator-name.ts'
import { note, print } from './output.ts'
import { loadSetup, oneStream } from './streams.ts'

interface ResumeOptions extends ActingOptions {
  readonly stream?: string
  readonly partition?: number
  readonly lift?: Lift
  readonly json?: boolean
}

export async function resume({ stream: name, partition, lift, json, ...acting }: ResumeOptions): Promise<void> {
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
    lift,
  }
  const done = await liftPauses(pool, where, actingOperator(setup.config, acting)).catch((error: unknown) => {
    if (error instanceof PauseRefusal && error.code === 'two_pauses') throw new UsageError(`${error.message} (--lift)`)
    throw error
  })
  const { lifted } = liftedJson(done)
  for (const row of lifted) {
    const what = row.partition === null ? 'the stream' : `partition ${row.partition}`
    const why =
      row.paused_for === 'operator'
        ? 'paused by an operator'
        : `${row.paused_for}, ${row.dead_letters_in_a_row} dead letters in a row`
    print(json ? JSON.stringify({ stream: stream.name, ...row }) : `${what} resumed (${why})`)
  }
  for (const pause of done.remaining) note(`still paused: ${pauseText(pause)}`)
  if (lifted.length > 0) return
  const none = partition === undefined ? 'no partition waits' : `partition ${partition} does not wait`
  note(`nothing to resume: ${none} for an operator`)
}
