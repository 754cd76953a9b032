import type { Branch, Child } from '../../../web/tree.js'
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

/** What a list shows of a value besides its key. */
export type RowCells = (value: unknown) => Child[]

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

/** What lists show of values. @returns by the stream's name */
export async function loadRows(streams: readonly ReadStream[]): Promise<ReadonlyMap<string, RowCells>> {
  const rows = new Map<string, RowCells>()
  for (const { name, http } of streams) {
    const { rowCells, summaryOf } = await import(new URL(http.view, WEB).href)
    if (rowCells !== undefined) rows.set(name, value => rowCells(summaryOf(value)))
  }
  return rows
}
