import { UsageError } from '../engine/errors.ts'
import type { Operator } from '../engine/operator.ts'
import {
  type DeadLetterFilter,
  printFilter,
  printWithheld,
  type ValueTerm,
  type WordTerm,
  type WrittenFilter,
  type WrittenTerm,
} from './filter.ts'
import {
  type DeadLetterPlace,
  type DeadLetterRecords,
  type DeadLetterRow,
  type DeadLetterStore,
  dlqPlaceOf,
  type LetterQuery,
} from './ports.ts'
import { createValueTest } from './value-condition.ts'

/** A filter whose words are known to be ids, keys or text. */
export interface NamedFilter {
  readonly terms: readonly Exclude<WrittenTerm, WordTerm>[]
}

export interface SearchQuery extends Omit<LetterQuery, 'filter'> {
  readonly filter: NamedFilter
  readonly signal?: AbortSignal | undefined
}

export interface SearchedPage {
  readonly rows: readonly DeadLetterRow[]
  /** Where it goes on; `undefined`: there is nothing more. */
  readonly next: DeadLetterPlace | undefined
  /** Letters whose values were asked for; 0 without a condition on the value. */
  readonly read: number
  /** How many of them have no bytes any more, or none whose place is known. They meet no condition. */
  readonly gone: number
}

export interface SearchProgress extends Pick<SearchedPage, 'read' | 'gone'> {
  readonly found: number
}

export interface SearchOptions {
  /**
   * Who searches in values: the audit log has it, because what a condition on the value finds tells something of the value. `undefined`:
   * it is noted already.
   */
  readonly by: Operator | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: (progress: SearchProgress) => void
  /** More letters are not read: the filter must be narrowed first. Default: no limit. */
  readonly maxRead?: number
}

/** The filter would read, or find, more letters than are kept in mind. */
export class SearchTooLargeError extends UsageError {
  override readonly name = 'SearchTooLargeError'
}

/** Makes of a filter, as an operator writes it, one that the database can answer. */
export interface LetterSearch {
  /**
   * A word is the id of a letter if there is a letter with this id; else a key if there is one with this key; else text. With `*`
   * it is a key. A condition on the value is about open letters, unless the filter names a state.
   */
  named(filter: WrittenFilter): Promise<NamedFilter>
  /**
   * A page of the list. With a condition on the value at most {@link READ_AT_ONCE} letters are read for it: it may have fewer
   * rows than its limit, even none, and `next` all the same. @throws BrokerUnavailableError
   */
  page(query: SearchQuery): Promise<SearchedPage>
  /** Notes that values are searched, if they are. */
  note(filter: NamedFilter, by: Operator): Promise<void>
  /**
   * Reads the values of all letters that the rest of the filter takes, if it has a condition on the value. What is found is kept by
   * its ids. @throws SearchTooLargeError BrokerUnavailableError; the reason of the signal
   */
  answerable(filter: WrittenFilter, options: SearchOptions): Promise<DeadLetterFilter>
}

/** Letters that are looked up at a time; their bytes are read one by one. */
const CHUNK = 1_000
export const READ_AT_ONCE = 2_000
/** Their ids go into statements as one parameter. */
const MAX_FOUND = 100_000

export function createLetterSearch({
  letters,
  records,
}: {
  readonly letters: Pick<DeadLetterStore, 'page' | 'named' | 'noteSearched'>
  readonly records: Pick<DeadLetterRecords, 'read'>
}): LetterSearch {
  async function named({ terms }: WrittenFilter): Promise<NamedFilter> {
    const words = terms.filter(term => term.field === 'word').map(({ text }) => text)
    const whole = words.filter(word => !word.includes('*'))
    const { ids, keys } = whole.length === 0 ? NONE : await letters.named(whole)
    const known = terms.map(term => {
      if (term.field !== 'word') return term
      const { not, text } = term
      if (ids.has(text)) return { field: 'id', not, values: [text] } as const
      if (keys.has(text) || text.includes('*')) return { field: 'key', not, values: [text] } as const
      return { field: 'text', not, text } as const
    })
    const needsState = known.some(isValueTerm) && !known.some(({ field }) => field === 'state')
    return { terms: needsState ? [...known, { field: 'state', not: false, values: ['open'] }] : known }
  }

  async function page({ filter, limit, signal, ...query }: SearchQuery): Promise<SearchedPage> {
    const { plain, values } = apart(filter)
    if (values.length === 0) {
      const { rows, next } = await letters.page({ ...query, filter: plain, limit })
      return { rows, next, read: 0, gone: 0 }
    }
    const meets = createValueTest(values)
    const found: DeadLetterRow[] = []
    let { after } = query
    let read = 0
    let gone = 0
    do {
      const chunk = await letters.page({ ...query, filter: plain, limit: CHUNK, after })
      const verdicts = await verdictsOn(chunk.rows, meets, signal)
      for (const [index, row] of chunk.rows.entries()) {
        read += 1
        const verdict = verdicts.get(row.id)
        if (verdict === undefined) gone += 1
        if (verdict !== true) continue
        found.push(row)
        const next = index === chunk.rows.length - 1 ? chunk.next : chunk.places[index]
        if (found.length === limit) return { rows: found, next, read, gone }
      }
      after = chunk.next
    } while (after !== undefined && read < READ_AT_ONCE)
    return { rows: found, next: after, read, gone }
  }

  /** By id. One that is missing has no bytes that can be read. */
  async function verdictsOn(
    rows: readonly DeadLetterRow[],
    meets: (value: Buffer | null) => boolean,
    signal: AbortSignal | undefined,
  ): Promise<ReadonlyMap<string, boolean>> {
    const verdicts = new Map<string, boolean>()
    for await (const { id, record } of records.read(rows.flatMap(row => dlqPlaceOf(row) ?? []))) {
      signal?.throwIfAborted()
      verdicts.set(id, meets(record.value))
    }
    signal?.throwIfAborted()
    return verdicts
  }

  async function note(filter: NamedFilter, by: Operator): Promise<void> {
    const { plain, values } = apart(filter)
    if (values.length > 0) await letters.noteSearched(printFilter({ terms: [...plain.terms, noted(values, [])] }), by)
  }

  async function answerable(written: WrittenFilter, options: SearchOptions): Promise<DeadLetterFilter> {
    const filter = await named(written)
    const { plain, values } = apart(filter)
    if (values.length === 0) return plain
    if (options.by !== undefined) await note(filter, options.by)
    const { signal, onProgress, maxRead = Number.POSITIVE_INFINITY } = options
    const ids: string[] = []
    let read = 0
    let gone = 0
    let after: DeadLetterPlace | undefined
    do {
      // In the order of the topic, nearly: then the bytes of a chunk lie side by side.
      const found: SearchedPage = await page({ filter, limit: CHUNK, sort: 'source', after, signal })
      for (const { id } of found.rows) ids.push(id)
      read += found.read
      gone += found.gone
      after = found.next
      onProgress?.({ read, gone, found: ids.length })
      if (ids.length > MAX_FOUND) throw tooLarge(`more than ${MAX_FOUND} letters meet the condition on the value`)
      if (read >= maxRead && after !== undefined) throw tooLarge(`there are more than ${maxRead} values to search`)
    } while (after !== undefined)
    return { terms: [...plain.terms, noted(values, ids)] }
  }

  return { named, page, note, answerable }
}

const NONE = { ids: new Set<string>(), keys: new Set<string>() }

export function searchesValues({ terms }: WrittenFilter): boolean {
  return terms.some(isValueTerm)
}

function isValueTerm(term: WrittenTerm): term is ValueTerm {
  return term.field === 'value'
}

function apart({ terms }: NamedFilter): { readonly plain: DeadLetterFilter; readonly values: readonly ValueTerm[] } {
  return {
    plain: { terms: terms.filter(term => term.field !== 'value') },
    values: terms.filter(term => term.field === 'value'),
  }
}

function noted(values: readonly ValueTerm[], ids: readonly string[]) {
  return { field: 'found', not: false, ids, shown: values.map(printWithheld).join(' ') } as const
}

function tooLarge(what: string): SearchTooLargeError {
  return new SearchTooLargeError(`${what}: narrow the filter, for example by reason: or after:`)
}
