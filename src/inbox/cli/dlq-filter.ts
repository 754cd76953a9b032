import { CommandFailed } from '../../cli/failure.ts'
import { onInterrupt } from '../../cli/interrupt.ts'
import { type ActingOptions, actingOperator } from '../../cli/operator-name.ts'
import { note } from '../../cli/output.ts'
import { startProgress } from '../../cli/progress.ts'
import { plural } from '../../cli/words.ts'
import { UsageError } from '../../engine/errors.ts'
import { grouped } from '../../engine/grouped.ts'
import { type DeadLetterFilter, printFilter, type WrittenFilter } from '../filter.ts'
import { parseFilter } from '../filter-reader.ts'
import { searchesValues } from '../search.ts'
import type { DeadLetters, DlqOptions } from './dlq-parts.ts'

/** @throws UsageError that points at the place */
export function filterOf(words: readonly string[]): WrittenFilter {
  const text = words.map(word => requoted(word.trim())).join(' ')
  const parsed = parseFilter(text)
  if (parsed.ok) return parsed.filter
  const { column, message } = parsed
  // Columns count characters as people see them, so that the sign stands below the place.
  throw new UsageError(`the filter cannot be understood: ${message}\n  ${text}\n  ${' '.repeat(column - 1)}^`)
}

/** `text:"must be"` without the quotes that a shell takes away. */
function requoted(word: string): string {
  const [, field, value] = /^(-?text:)([^"\\]+)$/.exec(word) ?? []
  if (field === undefined) return word
  const parsed = parseFilter(word)
  return parsed.ok && !parsed.filter.terms.some(term => term.field === 'word') ? word : `${field}"${value}"`
}

/**
 * The filter as the database can answer it. A search in values shows its progress, and ends with Ctrl-C.
 * @throws CommandFailed when it was interrupted
 */
export async function answerable(
  { search, config }: Pick<DeadLetters, 'search' | 'config'>,
  written: WrittenFilter,
  options: DlqOptions & ActingOptions,
): Promise<DeadLetterFilter> {
  const by = actingOperator(config, { because: 'a search in values', ...options })
  // Before anything is done: what a word was taken for decides which letters are meant.
  if (options.json !== true && written.terms.some(term => term.field === 'word')) {
    note(`taken as: ${printFilter(await search.named(written))}`)
  }
  if (!searchesValues(written)) return await search.answerable(written, { by })
  using interrupt = onInterrupt()
  const progress = startProgress({ label: 'searched', silent: options.json === true, lineEveryMs: 2_000 })
  let gone = 0
  try {
    const { signal } = interrupt
    return await search.answerable(written, {
      by,
      signal,
      onProgress(now) {
        gone = now.gone
        progress.update({ done: now.read, text: `${grouped(now.found)} found` })
      },
    })
  } catch (error) {
    if (interrupt.signal.aborted) throw new CommandFailed('interrupted: not all values were searched')
    throw error
  } finally {
    progress.stop()
    if (gone > 0)
      note(`${plural(gone, 'dead letter')} could not be searched: the bytes are gone, or their place is not known`)
  }
}
