import { HEADER, readHeader } from './headers.ts'
import { formerTopic, type Origin, originId, type SourceRecord, topicParts } from './record.ts'

/** The redrive that brought a record. */
export interface RecordRedrive {
  readonly redriveId: string
  /** How often its dead letter has been redriven, this time included. */
  readonly redriveCount: number
}

/** Where a record counts from. */
export interface Provenance {
  /** Where it first stood: the record's own position, unless a redrive brought it. */
  readonly origin: Origin
  /** The redrive that brought it. */
  readonly redrive: RecordRedrive | undefined
  /** It names a redrive in its headers that did not bring it. */
  readonly foreign: boolean
}
export type ProvenanceOf = (record: SourceRecord) => Provenance

/** The origin that a record claims. Any producer can write these headers, so the claim is not trusted yet. */
export interface ProvenanceClaim {
  readonly origin: Origin
  readonly redriveId: string
}

/** The stored state of a redrive that has a member with the claimed origin. */
export interface RedriveFacts {
  /** How often the letter has been redriven, this time included: from the index, not from the header. */
  readonly redriveCount: number
  /** The topic as it first stood in it: another one than claimed, when that was deleted since (`formerTopic`). `undefined`: forgotten. */
  readonly topic?: string | undefined
  /** Timestamp of the record as it first stood; `undefined` when the index has forgotten it. */
  readonly timestampMs: number | undefined
  /** Progress of the group on the origin's partition; `undefined` where it has none. */
  readonly nextOffset: bigint | undefined
}

/** Facts by {@link claimKey}; a claim of which nothing is known is absent. */
export type AskRedrives = (claims: readonly ProvenanceClaim[]) => Promise<ReadonlyMap<string, RedriveFacts>>

/** In place of the id of a deleted topic, where the index has forgotten that. */
const UNKNOWN_ID = 'unknown'

export function claimKey({ origin, redriveId }: ProvenanceClaim): string {
  return `${redriveId} ${originId(origin)}`
}

/**
 * Provenance of each of these records. The store is asked once, and only when one of them claims to come from a redrive.
 * A claim is believed when that redrive exists, has that member, and its origin lies below the group's progress: a far origin
 * would make every later version of its value stale for good.
 * @throws what `ask` throws
 */
export async function provenances(records: readonly SourceRecord[], ask: AskRedrives): Promise<ProvenanceOf> {
  const claims = records.flatMap(record => claimOf(record) ?? [])
  if (claims.length === 0) return unconfirmed
  const facts = await ask(claims)
  return record => {
    const claim = claimOf(record)
    const known = claim === undefined ? undefined : facts.get(claimKey(claim))
    if (claim === undefined || known === undefined) return unconfirmed(record)
    const { topic = claim.origin.topic, timestampMs = claim.origin.timestampMs, redriveCount } = known
    // A redrive writes what the index has. With an earlier timestamp it is of a deleted topic, and a later letter has taken its id.
    const isReplaced = topicParts(topic).formerId === undefined && claim.origin.timestampMs < timestampMs
    const origin = isReplaced
      ? { ...claim.origin, topic: formerTopic(topic, UNKNOWN_ID) }
      : { ...claim.origin, topic, timestampMs }
    if (!isBelow(origin, record, known)) return unconfirmed(record)
    return {
      origin,
      redrive: { redriveId: claim.redriveId, redriveCount },
      foreign: false,
    }
  }
}

function unconfirmed(record: SourceRecord): Provenance {
  return { origin: record, redrive: undefined, foreign: isMarked(record) }
}

/** `undefined` when the record claims nothing, or what it claims cannot be read. */
export function claimOf(record: SourceRecord): ProvenanceClaim | undefined {
  if (!isMarked(record)) return undefined
  const position = readHeader(record, 'id')
  const timestampMs = readHeader(record, 'timestamp')
  const redriveId = readHeader(record, 'redriveId')
  if (position === undefined || timestampMs === undefined || redriveId === undefined) return undefined
  return { origin: { ...position, timestampMs }, redriveId }
}

/** Most records have no headers, or only those of their producer. */
function isMarked({ headers }: SourceRecord): boolean {
  return headers.length > 0 && headers.some(([name]) => name === HEADER.id || name === HEADER.redriveId)
}

function isBelow(origin: Origin, record: SourceRecord, { nextOffset }: RedriveFacts): boolean {
  if (origin.topic === record.topic && origin.partition === record.partition) return origin.offset < record.offset
  // No progress counts in a topic that was deleted.
  if (topicParts(origin.topic).formerId !== undefined) return true
  if (nextOffset !== undefined) return origin.offset < nextOffset
  // A letter of unknown origin has its place in the dead-letter topic, which the group does not consume: no offset there
  // stands above one of this topic, because between topics the timestamps decide.
  return origin.topic !== record.topic
}
