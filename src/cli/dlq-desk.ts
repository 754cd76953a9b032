import { type Config, loadConfig } from '../config.ts'
import type { DeadLetterStore, Operator } from '../core/dead-letter-desk.ts'
import { type DeadLetterFilter, parseFilter } from '../core/dead-letter-filter.ts'
import { UsageError } from '../core/errors.ts'
import { createDeadLetterStore } from '../postgres/dead-letter-store.ts'
import { createPool } from '../postgres/pool.ts'
import { operatorName } from './operator-name.ts'

/** What the commands of `dlq` share. */
export interface DlqDesk extends AsyncDisposable {
  readonly config: Config
  readonly pool: ReturnType<typeof createPool>
  readonly letters: DeadLetterStore
}

export function openDesk(): DlqDesk {
  const config = loadConfig(process.env)
  const pool = createPool({ ...config.postgres, max: 2, name: 'dlq' })
  return { config, pool, letters: createDeadLetterStore(pool), [Symbol.asyncDispose]: () => pool.end() }
}

/** @throws UsageError that points at the place */
export function filterOf(words: readonly string[]): DeadLetterFilter {
  const text = words.map(word => word.trim()).join(' ')
  const parsed = parseFilter(text)
  if (parsed.ok) return parsed.filter
  const { column, message } = parsed
  // Characters as people count them, so that the sign stands below the place.
  throw new UsageError(`the filter cannot be understood: ${message}\n  ${text}\n  ${' '.repeat(column - 1)}^`)
}

export function operator(because: string | undefined): Operator {
  return { who: operatorName(), because: because?.trim() || 'not said' }
}

/** How long ago, in the largest unit that fits. */
export function ago(instant: string, nowMs: number): string {
  const seconds = Math.max(0, (nowMs - Date.parse(instant)) / 1000)
  if (seconds < 60) return `${Math.floor(seconds)}s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m`
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)}h`
  return `${Math.floor(seconds / 86_400)}d`
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}
