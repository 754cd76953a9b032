import { HEADER } from '#src/engine/headers.ts'
import type { Header, SourceRecord } from '#src/engine/record.ts'

/** A record of the DLQ topic taken apart: what it was, and what was added to it. */
export interface OpenedDeadLetter {
  readonly original: {
    readonly key: Buffer | null
    readonly value: Buffer | null
    readonly headers: readonly Header[]
  }
  /** Name and text of each added header, in their order. */
  readonly added: readonly (readonly [name: string, text: string])[]
  readonly partition: number
  readonly timestampMs: number
}

const ADDED = new Set<string>(Object.values(HEADER))

/** What is added comes last. The last of it is a `traceparent`, for a record that had none. */
export function openDeadLetter({ key, value, headers, partition, timestampMs }: SourceRecord): OpenedDeadLetter {
  const first = headers.findIndex(([name]) => ADDED.has(name))
  return {
    original: { key, value, headers: headers.slice(0, first) },
    added: headers.slice(first).map(([name, bytes]) => [name, bytes.toString('utf8')]),
    partition,
    timestampMs,
  }
}

/** The added header of that name; `undefined` when it is missing. */
export function addedText(letter: OpenedDeadLetter, name: keyof typeof HEADER): string | undefined {
  return letter.added.find(([candidate]) => candidate === HEADER[name])?.[1]
}
