import type { Header, SourceRecord } from '#src/engine/record.ts'
import type { ReadyRecord } from '#src/engine/verdict.ts'

/** A record with what a test cares for; the rest is plausible. */
export function aRecord(over: Partial<SourceRecord> & { text?: string } = {}): SourceRecord {
  const { text, ...fields } = over
  return {
    topic: 'orders',
    partition: 0,
    offset: 0n,
    timestampMs: 1_700_000_000_000,
    key: null,
    value: text === undefined ? Buffer.from('{}') : Buffer.from(text),
    headers: [],
    ...fields,
  }
}

export function aHeader(name: string, value: string): Header {
  return [name, Buffer.from(value)]
}

/** A valid record whose value is a plain text, for tests that do not care about orders. */
export function aReady(uid: string, over: Partial<SourceRecord> = {}): ReadyRecord<string> {
  const record = aRecord(over)
  return { record, origin: record, key: uid, value: `${uid}@${record.offset}` }
}
