import { composeInbox, type Inbox } from '../../app/inbox.ts'
import type { ActingOptions } from '../../cli/operator-name.ts'
import { loadSetup, oneStream } from '../../cli/streams.ts'
import { createPool } from '../../engine/postgres/pool.ts'
import type { SourceRecord } from '../../engine/record.ts'
import type { Stream } from '../../engine/stream.ts'
import type { Config } from '../../settings/config.ts'
import { type DeadLetterRecords, type DeadLetterRow, dlqPlaceOf } from '../ports.ts'

/** What every command of `dlq` takes. */
export interface DlqOptions extends Pick<ActingOptions, 'as'> {
  readonly stream?: string
  readonly json?: boolean
}

/** The dead letters and redrives of one stream, and the connections that commands need besides. */
export interface DeadLetters extends Inbox {
  readonly config: Config
  readonly stream: Stream
  readonly pool: ReturnType<typeof createPool>
}

/**
 * @param options.stream of --stream
 * @param id of a dead letter, whose topic says which stream it is of where --stream does not
 * @throws ConfigError, UsageError
 */
export async function openDeadLetters({ stream: name }: DlqOptions, id?: string): Promise<DeadLetters> {
  const setup = await loadSetup()
  const { config } = setup
  const stream = oneStream(setup, name ?? streamOfId(setup.streams, id))
  const pool = createPool({ ...config.postgres, max: 2, name: 'dlq' })
  const parts = composeInbox(config, stream, pool)
  return {
    ...parts,
    config,
    stream,
    pool,
    async [Symbol.asyncDispose]() {
      await parts[Symbol.asyncDispose]()
      await pool.end()
    },
  }
}

/** @param id `topic-partition-offset` */
function streamOfId(streams: readonly Stream[], id: string | undefined): string | undefined {
  const topic = id?.replace(/-\d+-\d+$/, '')
  return streams.find(stream => stream.topic === topic)?.name
}

/** Its bytes; `undefined` when they are not in the topic (any more). */
export async function recordOf(records: DeadLetterRecords, letter: DeadLetterRow): Promise<SourceRecord | undefined> {
  const place = dlqPlaceOf(letter)
  for await (const { record } of records.read(place === undefined ? [] : [place])) return record
  return undefined
}
