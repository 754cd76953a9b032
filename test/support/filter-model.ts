import type { Comparison, DeadLetterFilter, FilterTerm } from '#src/inbox/filter.ts'
import { parseFilter } from '#src/inbox/filter-reader.ts'
import { instantOf } from '#src/inbox/filter-time.ts'
import { likeness } from '#src/inbox/value-condition.ts'

/** A filter that the database can answer as it is written: without words, and conditions on the value. */
export function plainFilter(text: string): DeadLetterFilter {
  const parsed = parseFilter(text)
  if (!parsed.ok) throw new Error(`column ${parsed.column}: ${parsed.message}`)
  return {
    terms: parsed.filter.terms.map(term => {
      if (term.field === 'word' || term.field === 'value') throw new Error(`${term.field} needs a search`)
      return term
    }),
  }
}

/** What a filter looks at in a dead letter. */
export interface FilteredLetter {
  readonly id: string
  readonly reason: string
  readonly error: string
  readonly pointer: string
  readonly message: string
  readonly key: string | null
  readonly source_topic: string
  readonly source_partition: number
  /** Since its latest failure. */
  readonly ageMs: number
  readonly replay_count: number
  readonly state: string
  /** Redrives of which it is a member. */
  readonly redrives: readonly string[]
}

/** Whether the filter takes the letter: `test/contract/dead-letter-filter.test.ts` compares it with what Postgres answers. */
export function takesLetter(filter: DeadLetterFilter, letter: FilteredLetter, nowMs = Date.now()): boolean {
  return filter.terms.every(term => holds(term, letter, nowMs) !== term.not)
}

function holds(term: FilterTerm, letter: FilteredLetter, nowMs: number): boolean {
  switch (term.field) {
    case 'reason':
      return term.values.some(reason => reason === letter.reason)
    case 'state':
      return term.values.some(state =>
        state === 'failed_again'
          ? letter.replay_count > 0 && (letter.state === 'open' || letter.state === 'parked')
          : state === letter.state,
      )
    case 'error':
    case 'pointer':
    case 'id':
    case 'topic':
    case 'key': {
      const { error, pointer, id, source_topic: topic, key } = letter
      const text = { error, pointer, id, topic, key: key ?? '' }[term.field]
      return term.values.some(pattern => likeness(pattern)(text))
    }
    case 'partition':
      return term.values.includes(letter.source_partition)
    case 'age':
      return compares(letter.ageMs, term.comparison, term.ms)
    case 'after':
    case 'before':
      return nowMs - letter.ageMs >= Date.parse(instantOf(term.time, nowMs)) === (term.field === 'after')
    case 'replays':
      return compares(letter.replay_count, term.comparison, term.count)
    case 'replay':
      return term.values.some(id => letter.redrives.includes(id))
    case 'found':
      return term.ids.includes(letter.id)
    case 'text': {
      const texts = [letter.message, letter.error, letter.pointer, letter.key ?? '']
      return texts.some(text => text.toLowerCase().includes(term.text.toLowerCase()))
    }
  }
}

function compares(a: number, comparison: Comparison, b: number): boolean {
  return { '>': a > b, '>=': a >= b, '<': a < b, '<=': a <= b, '=': a === b }[comparison]
}
