import { grouped } from '../engine/grouped.ts'
import { createPool } from '../engine/postgres/pool.ts'
import { setBack, valuesBeyondProgress } from '../engine/postgres/proof-repair.ts'
import type { Stream } from '../engine/stream.ts'
import { visible } from '../engine/visible.ts'
import type { Config } from '../settings/config.ts'
import { confirm } from './confirm.ts'
import { type ActingOptions, actingOperator } from './operator-name.ts'
import { note } from './output.ts'
import { plural } from './words.ts'

const SHOWN_AT_MOST = 20
const STATEMENT_TIMEOUT_MS = 10 * 60_000

/** Shows which values point beyond progress, asks, and sets exactly those back. */
export async function repair(
  config: Pick<Config, 'postgres' | 'operator'>,
  stream: Stream,
  { as, because = 'values that point beyond progress', yes }: ActingOptions & { readonly yes?: boolean },
): Promise<void> {
  await using parts = new AsyncDisposableStack()
  const pool = createPool({ ...config.postgres, max: 1, statementTimeoutMs: STATEMENT_TIMEOUT_MS, name: 'verify' })
  parts.defer(() => pool.end())
  const beyond = await valuesBeyondProgress(pool, stream)
  if (beyond.length === 0) {
    note('repair: no value points beyond progress; nothing to do')
    return
  }
  for (const { key, partition, offset, progress } of beyond.slice(0, SHOWN_AT_MOST)) {
    note(`${visible(key)} points at partition ${partition} offset ${offset}; progress is ${progress ?? 'none'}`)
  }
  if (beyond.length > SHOWN_AT_MOST) note(`and ${grouped(beyond.length - SHOWN_AT_MOST)} more`)
  note(
    'They get the position before every record: the next genuine version replaces them. What is stored stays until then.',
  )
  await confirm({ verb: 'Set back', count: beyond.length, what: 'value', yes, look: 'verify without --repair' })
  const done = await setBack(pool, stream, beyond, actingOperator(config, { as, because }))
  note(`repair: ${plural(done, 'value')} set back; in the audit log as verify_repair`)
  const partitions = [...new Set(beyond.map(({ partition }) => partition))].sort((a, b) => a - b)
  note(
    `Versions that counted as stale meanwhile are read again with "holdfast seek --partition P --to OFFSET" (P: ${partitions.join(', ')})`,
  )
}
