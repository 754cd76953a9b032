import type { Branch } from '../../../web/tree.js'
import type { ReadStream } from './stream-reading.ts'

/** What a view shows about a value besides its content. */
export interface ViewFacts {
  readonly source: 'memory' | 'database'
  readonly elapsedMs?: number
  readonly key: string
  /** What people call such a value. */
  readonly name: string
  /** Address of the JSON. */
  readonly path: string
}

export type ValueView = (value: unknown, facts: ViewFacts) => Branch

const WEB = new URL('../../../web/', import.meta.url)

/** Loads the scripts that lay values out: the same files that browsers load. @returns by the stream's name */
export async function loadViews(streams: readonly ReadStream[]): Promise<ReadonlyMap<string, ValueView>> {
  const views = new Map<string, ValueView>()
  for (const { name, http } of streams) {
    const { valueView } = await import(new URL(http.view, WEB).href)
    views.set(name, valueView)
  }
  return views
}
