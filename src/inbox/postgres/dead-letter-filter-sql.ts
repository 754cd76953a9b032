import type { DeadLetterFilter, FilterTerm, Pattern } from '../filter.ts'
import type { FilterTime } from '../filter-time.ts'
import { type DeadLetterState, sqlList, WAITING } from '../letter-states.ts'

/** A condition on a row of `dead_letters`, and the parameters that it names. */
export interface Condition {
  readonly text: string
  readonly values: readonly unknown[]
}

/**
 * A filter as a condition, true for the rows that it takes. What the operator wrote goes in as parameters, `*` as LIKE's
 * `%`, and everything that LIKE would take for more than itself is escaped.
 * @param options.first number of the first parameter that is free. Default: 1
 * @param options.alias of `dead_letters` in the statement. Default: `d`
 */
export function filterSql(
  filter: DeadLetterFilter,
  options: { readonly first?: number; readonly alias?: string } = {},
): Condition {
  const { first = 1, alias = 'd' } = options
  const values: unknown[] = []
  const parameter = (value: unknown): string => `$${values.push(value) + first - 1}`
  const conditions = filter.terms.map(term => {
    const condition = conditionOf(term, alias, parameter)
    // A key that is not known makes a comparison null: `not` takes it all the same.
    return term.not ? `(${condition}) IS NOT TRUE` : `(${condition})`
  })
  return { text: conditions.length === 0 ? 'true' : conditions.join(' AND '), values }
}

const MIRRORED = { '>': '<', '>=': '<=', '<': '>', '<=': '>=' } as const

type Parameter = (value: unknown) => string

function conditionOf(term: FilterTerm, d: string, parameter: Parameter): string {
  switch (term.field) {
    case 'reason':
      return `${d}.reason = ANY (${parameter(term.values)}::text[])`
    case 'state':
      return stateIs(term.values, d, parameter)
    case 'error':
    case 'pointer':
    case 'id':
      return matches(`${d}.${term.field}`, term.values, parameter)
    case 'topic':
      return matches(`${d}.source_topic`, term.values, parameter)
    case 'key':
      return keyMatches(`${d}.key`, term.values, parameter)
    case 'partition':
      return `${d}.source_partition = ANY (${parameter(term.values)}::integer[])`
    case 'age':
      // The older, the earlier; and the column stands alone, so that an index on it can answer.
      return `${d}.failed_at ${MIRRORED[term.comparison]} ${ago(term.ms, parameter)}`
    case 'after':
    case 'before':
      return `${d}.failed_at ${term.field === 'after' ? '>=' : '<'} ${instantOf(term.time, parameter)}`
    case 'replays':
      return `${d}.replay_count ${term.comparison} ${parameter(term.count)}::integer`
    case 'replay':
      return `EXISTS (SELECT FROM holdfast.replay_items AS item
        WHERE item.dead_letter_id = ${d}.id AND item.replay_id = ANY (${parameter(term.values)}::text[]))`
    case 'found':
      return `${d}.id = ANY (${parameter(term.ids)}::text[])`
    case 'text': {
      const pattern = `${parameter(`%${literal(term.text)}%`)}::text`
      const columns = ['message', 'error', 'pointer', 'key']
      return columns.map(column => `coalesce(${d}.${column}, '') ILIKE ${pattern}`).join(' OR ')
    }
  }
}

function instantOf(time: FilterTime, parameter: Parameter): string {
  if ('at' in time) return `${parameter(time.at)}::timestamptz`
  if ('agoMs' in time) return ago(time.agoMs, parameter)
  // A day of UTC has 24 hours; what `1 day` is depends on the zone of the session.
  return `date_trunc('day', now(), 'UTC')${time.day === 'today' ? '' : " - interval '24 hours'"}`
}

function ago(ms: number, parameter: Parameter): string {
  return `now() - ${parameter(ms)}::float8 * interval '1 millisecond'`
}

/** `failed_again` is not stored: such a letter waits once more, with a redrive behind it. */
function stateIs(states: readonly DeadLetterState[], d: string, parameter: Parameter): string {
  const stored = states.filter(state => state !== 'failed_again')
  return [
    ...(stored.length > 0 ? [`${d}.state = ANY (${parameter(stored)}::text[])`] : []),
    ...(stored.length < states.length ? [`${d}.state IN (${sqlList(WAITING)}) AND ${d}.replay_count > 0`] : []),
  ].join(' OR ')
}

/** Whole texts in one comparison, which an index can answer; the others one by one. */
function matches(column: string, patterns: readonly Pattern[], parameter: Parameter): string {
  const whole = patterns.filter(pattern => !pattern.includes('*'))
  const others = patterns.filter(pattern => pattern.includes('*'))
  return [
    ...(whole.length > 0 ? [`${column} = ANY (${parameter(whole)}::text[])`] : []),
    ...others.map(pattern => `${column} LIKE ${parameter(pattern.split('*').map(literal).join('%'))}::text`),
  ].join(' OR ')
}

/** No key is the empty one. */
function keyMatches(column: string, patterns: readonly Pattern[], parameter: Parameter): string {
  const orNone = patterns.some(pattern => /^\**$/.test(pattern))
  return `${matches(column, patterns, parameter)}${orNone ? ` OR ${column} IS NULL` : ''}`
}

/** `\` is the default escape character of LIKE. */
function literal(text: string): string {
  return text.replace(/[\\%_]/g, '\\$&')
}
