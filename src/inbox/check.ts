import type { Violation } from '../engine/dead-letter.ts'
import type { SourceRecord } from '../engine/record.ts'
import type { Verdict } from '../engine/verdict.ts'
import type {
  CheckedPage,
  CheckResult,
  DeadLetterRecords,
  DeadLetterStore,
  LetterQuery,
  LetterToCheck,
} from './ports.ts'

/** The judge of the stream: today's schema. */
export type Judge = (record: SourceRecord) => Verdict<unknown>

/** A look at it would end this process too, and the stream with it. A redrive into the store takes such a letter alone. */
const ENDS_PROCESSES: Violation = {
  pointer: '',
  keyword: 'crash_loop',
  message: 'ended the process that looked at it; only a redrive tries it again',
}

/** Letters that are looked up at a time; their bytes are judged one by one as they come. */
const PAGE = 2_000

/**
 * Would these pass now? Writes nothing. One answer for each letter: first those that end processes, and are not looked at; then those whose
 * bytes are there in the order in which they stand in the topic, then those whose bytes are gone.
 * @throws BrokerUnavailableError
 */
export function createCheckLetters({
  records,
  judge,
}: {
  readonly records: Pick<DeadLetterRecords, 'read'>
  readonly judge: Judge
}): (letters: readonly LetterToCheck[]) => AsyncIterable<CheckResult> {
  return async function* checkLetters(letters) {
    const places = letters.filter(({ reason }) => reason !== 'crash_loop')
    for (const { id, reason } of letters) {
      if (reason === 'crash_loop') yield { id, passes: false, violations: [ENDS_PROCESSES] }
    }
    const missing = new Set(places.map(({ id }) => id))
    for await (const { id, record } of records.read(places)) {
      missing.delete(id)
      yield { id, ...judged(judge, record) }
    }
    for (const id of missing) yield { id, passes: undefined, violations: [] }
  }
}

/**
 * Would those pass now that a filter takes? In the order of the list, at most `limit` of them. A letter whose place in the
 * topic is not noted counts as gone; `holdfast dlq reindex` finds it.
 * @throws StoreUnavailableError BrokerUnavailableError
 */
export function createFilterCheck({
  letters,
  check,
}: {
  readonly letters: Pick<DeadLetterStore, 'page'>
  readonly check: ReturnType<typeof createCheckLetters>
}): (query: LetterQuery) => AsyncIterable<CheckedPage> {
  return async function* checkMatching({ limit, after: from, ...query }) {
    let after = from
    for (let left = limit; left > 0; ) {
      const { rows, next } = await letters.page({ ...query, limit: Math.min(left, PAGE), after })
      const places = rows.flatMap(({ id, reason, dlq_partition, dlq_offset }) => {
        if (dlq_partition === null || dlq_offset === null) return []
        return [{ id, reason, partition: dlq_partition, offset: BigInt(dlq_offset) }]
      })
      const results = new Map<string, CheckResult>()
      for await (const result of check(places)) results.set(result.id, result)
      yield {
        results: rows.map(({ id }) => results.get(id) ?? { id, passes: undefined, violations: [] }),
        next,
      }
      if (next === undefined) return
      after = next
      left -= rows.length
    }
  }
}

function judged(judge: Judge, record: SourceRecord): Pick<CheckResult, 'passes' | 'violations'> {
  try {
    const verdict = judge(record)
    if (verdict.ok) return { passes: true, violations: [] }
    const { error, pointer, message, violations } = verdict.rejection
    // What is no JSON breaks no rule of the schema: then the verdict itself says why.
    const [first] = violations
    return { passes: false, violations: first === undefined ? [{ pointer, keyword: error, message }] : violations }
  } catch (error) {
    return { passes: false, violations: [surprise(error)] }
  }
}

/** Its kind only: its text may quote the record. */
function surprise(error: unknown): Violation {
  const name = error instanceof Error ? error.name : typeof error
  return { pointer: '', keyword: name, message: `judging it failed with an unforeseen ${name}` }
}
