import type { Config } from './config.ts'
import type { DeadLetterRecords, DeadLetterStore, ReplayDesk } from './core/dead-letter-desk.ts'
import type { AutomaticRedrive, StreamBooks } from './core/stream-desk.ts'
import type { Stream } from './engine/stream.ts'
import { createCheckLetters, createFilterCheck } from './inbox/check.ts'
import { createDeadLetterRecords } from './kafka/dead-letter-records.ts'
import { createPartitionEnds, type PartitionEnds } from './kafka/partition-ends.ts'
import { createAutomaticRedrive } from './postgres/automatic-redrive.ts'
import { createDeadLetterStore } from './postgres/dead-letter-store.ts'
import type { createPool } from './postgres/pool.ts'
import { createReplayDesk } from './postgres/replays.ts'
import { createStreamBooks } from './postgres/stream-books.ts'

/** What operators work with. */
export interface Desk extends AsyncDisposable {
  readonly letters: DeadLetterStore
  /** Kafka is not asked before the first of them is. */
  readonly records: DeadLetterRecords
  /** Would those that a filter takes pass now? */
  readonly check: ReturnType<typeof createFilterCheck>
  readonly replays: ReplayDesk
  readonly automatic: AutomaticRedrive
  readonly books: StreamBooks
  /** Of the topic that is consumed. Kafka is not asked before they are. */
  readonly ends: PartitionEnds
}

/** The desk, wired together: the same for the service and for the command line. Closes all but the pool. */
export function composeDesk(
  config: Config,
  pool: ReturnType<typeof createPool>,
  { name: stream, judge }: Pick<Stream, 'name' | 'judge'>,
): Desk {
  const { kafka } = config
  const { topic, groupId } = kafka
  const records = createDeadLetterRecords({
    connection: kafka,
    topic: kafka.dlqTopic,
    sourceTopic: topic,
    groupId,
  })
  const ends = createPartitionEnds({ connection: kafka, topic, groupId })
  const letters = createDeadLetterStore(pool, stream)
  const check = createCheckLetters({ records, judge })
  return {
    letters,
    records,
    check: createFilterCheck({ letters, check }),
    replays: createReplayDesk({ pool, stream, topic, dlqTopic: kafka.dlqTopic, check }),
    automatic: createAutomaticRedrive({
      pool,
      stream,
      preset: config.automaticRedrive.on,
      now: Date.now,
    }),
    books: createStreamBooks(pool, { stream, topic, groupId }),
    ends,
    async [Symbol.asyncDispose]() {
      await Promise.all([records[Symbol.asyncDispose](), ends[Symbol.asyncDispose]()])
    },
  }
}
