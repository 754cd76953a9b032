import { HEADER } from '#src/core/dead-letter.ts'
import type { Header, SourceRecord } from '#src/core/record.ts'

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

export function openDeadLetter({ key, value, headers, partition, timestampMs }: SourceRecord): OpenedDeadLetter {
  return {
    original: { key, value, headers: headers.filter(([name]) => !ADDED.has(name)) },
    added: headers.filter(([name]) => ADDED.has(name)).map(([name, bytes]) => [name, bytes.toString('utf8')]),
    partition,
    timestampMs,
  }
}

/** The added header of that name; `undefined` when it is missing. */
export function addedText(letter: OpenedDeadLetter, name: keyof typeof HEADER): string | undefined {
  return letter.added.find(([candidate]) => candidate === HEADER[name])?.[1]
}
