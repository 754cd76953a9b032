import { isOfDeadLetter, isOurs, writeHeaders } from '../engine/headers.ts'
import type { Header, Origin, SourceRecord } from '../engine/record.ts'
import { readDeadLetter } from './reading.ts'

/**
 * A dead letter as it goes back to the topic that is consumed: a header must not be able to choose another. Its timestamp is
 * new; the first one is in a header.
 */
export interface RedrivenRecord {
  readonly partition: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly Header[]
}

/** What a redrive has of the dead letter besides its bytes. */
interface Redriven {
  readonly origin: Origin
  /** How often it was redriven before. */
  readonly redriveCount: number
  /** Replaces its value. */
  readonly edited: Buffer | undefined
}

/**
 * Says that an operator has changed the value. Not one of ours that give way when the record fails again: what is not the
 * producer's word must say so for ever.
 */
export const EDITED_HEADER = 'holdfast.edited'

/**
 * The same partition as at first, so that records of a key keep their order among themselves and the consumer's progress and ledger still
 * add up. Key, value and the producer's headers are as they were; the dead letter's headers have done their work and go,
 * but for the position that the record counts with. What looks like another program's is the producer's in a letter of ours.
 * @param letter as it stands in the DLQ topic
 */
export function toRedrivenRecord(letter: SourceRecord, item: Redriven, redriveId: string): RedrivenRecord {
  const { origin, edited } = item
  const added = writeHeaders({
    topic: origin.topic,
    partition: origin.partition,
    offset: origin.offset,
    id: origin,
    timestamp: origin.timestampMs,
    redriveId,
    redriveCount: item.redriveCount + 1,
  })
  return {
    partition: origin.partition,
    key: letter.key,
    value: edited ?? letter.value,
    headers: [...producersHeaders(letter, edited), ...added, ...editedHeaders(edited)],
  }
}

/**
 * A dead letter as the record that it was, at its first position: what a redrive into the store validates and settles.
 * @param letter as it stands in the DLQ topic
 */
export function toFirstRecord(letter: SourceRecord, { origin, edited }: Redriven): SourceRecord {
  const headers = [...producersHeaders(letter, edited), ...editedHeaders(edited)]
  return { ...origin, key: letter.key, value: edited ?? letter.value, headers }
}

/** Without those that made it a dead letter. */
function producersHeaders(letter: SourceRecord, edited: Buffer | undefined): Header[] {
  const isAdded = readDeadLetter(letter).writtenBy === 'holdfast' ? isOurs : isOfDeadLetter
  return letter.headers.filter(([name]) => !isAdded(name) && !(edited && name === EDITED_HEADER))
}

function editedHeaders(edited: Buffer | undefined): Header[] {
  return edited === undefined ? [] : [[EDITED_HEADER, Buffer.from('true')]]
}
