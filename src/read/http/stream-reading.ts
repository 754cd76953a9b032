import type { DeadLetterIndex } from '../../engine/dead-letter-hint.ts'
import type { Stream } from '../../engine/stream.ts'
import type { Intake } from '../intake.ts'
import type { RecordOutcomes, StoredPositions, ValueCatalog } from '../ports.ts'
import type { ValueCache } from '../read-side.ts'
import type { LiveFeed } from './live-feed.ts'

/** The parts of a stream's definition that the read API needs. */
export type ReadStream = Pick<Stream, 'name' | 'topic' | 'key' | 'schema' | 'isKey' | 'http'> & {
  readonly queries: Pick<Stream['queries'], 'list'>
}

/** One stream, as this process serves it over HTTP. */
export interface StreamReading {
  readonly stream: ReadStream
  /** Answers lookups by key: from memory, else from the database. */
  readonly cache: ValueCache
  readonly catalog: ValueCatalog
  readonly positions: StoredPositions
  /** What became of a record that the API has published. */
  readonly outcomes: RecordOutcomes
  /** Explains to operators why a value is not stored, and what became of its other records. */
  readonly deadLetters: DeadLetterIndex
  readonly intake: Intake
  /** Is notified of what is stored; closed with the server. */
  readonly feed: LiveFeed
}
