import { createPartitionEnds, type PartitionEnds } from '../engine/kafka/partition-ends.ts'
import type { createPool } from '../engine/postgres/pool.ts'
import { readTimeline } from '../engine/postgres/timeline.ts'
import type { Stream } from '../engine/stream.ts'
import type { Causes } from '../inbox/causes.ts'
import { createCheckLetters, createFilterCheck } from '../inbox/check.ts'
import { createDeadLetterRecords } from '../inbox/kafka/dead-letter-records.ts'
import type { DeadLetterRecords, DeadLetterStore } from '../inbox/ports.ts'
import { createAutomaticRedrive } from '../inbox/postgres/automatic-redrive.ts'
import { createCauses } from '../inbox/postgres/causes.ts'
import { createDeadLetterStore } from '../inbox/postgres/dead-letter-store.ts'
import { createRedrives } from '../inbox/postgres/redrives.ts'
import { createStoredStream } from '../inbox/postgres/stored-stream.ts'
import { readActions, readStarts } from '../inbox/postgres/timeline-marks.ts'
import type { Redrives } from '../inbox/redrive-ports.ts'
import { createLetterSearch, type LetterSearch } from '../inbox/search.ts'
import type { AutomaticRedrive, StoredStream, TimelineSource } from '../inbox/stream-ports.ts'
import type { Config } from '../settings/config.ts'

/** What operators work with, of one stream. */
export interface Inbox extends AsyncDisposable {
  readonly letters: DeadLetterStore
  readonly causes: Causes
  /** It connects to Kafka with the first request. */
  readonly records: DeadLetterRecords
  /** Would the dead letters that a filter takes pass now? */
  readonly check: ReturnType<typeof createFilterCheck>
  /** Makes of a written filter one that the database can answer. */
  readonly search: LetterSearch
  readonly redrives: Redrives
  readonly automatic: AutomaticRedrive
  readonly stored: StoredStream
  readonly past: TimelineSource
  /** Reads the topic that is consumed. It connects to Kafka with the first request. */
  readonly ends: PartitionEnds
}

/** The inbox as both the service and the command line use it. Disposing of it closes everything except the pool. */
export function composeInbox(config: Config, stream: Stream, pool: ReturnType<typeof createPool>): Inbox {
  const connection = config.kafka
  const { name, topic, dlqTopic, groupId, judge } = stream
  const records = createDeadLetterRecords({ connection, topic: dlqTopic, sourceTopic: topic, groupId })
  const ends = createPartitionEnds({ connection, topic, groupId })
  const letters = createDeadLetterStore(pool, name)
  const check = createCheckLetters({ records, judge })
  return {
    letters,
    causes: createCauses(pool, name),
    records,
    check: createFilterCheck({ letters, check }),
    search: createLetterSearch({ letters, records }),
    redrives: createRedrives({ pool, stream: name, topic, dlqTopic, check }),
    automatic: createAutomaticRedrive({ pool, stream: name, preset: config.automaticRedrive.on, now: Date.now }),
    stored: createStoredStream(pool, { stream: name, topic, groupId }),
    past: {
      series: (window, maxStops) => readTimeline(pool, name, window, maxStops),
      starts: (window, limit) => readStarts(pool, window, limit),
      actions: (window, limit) => readActions(pool, name, window, limit),
    },
    ends,
    async [Symbol.asyncDispose]() {
      await Promise.all([records[Symbol.asyncDispose](), ends[Symbol.asyncDispose]()])
    },
  }
}
