import { UsageError } from '../engine/errors.ts'
import { createPool } from '../engine/postgres/pool.ts'
import { type AuditTexts, readAuditFilter } from '../inbox/audit-query.ts'
import type { AuditEntry } from '../inbox/ports.ts'
import { readAudit } from '../inbox/postgres/audit-log.ts'
import { streamNamed } from '../settings/streams.ts'
import { note, print, printAll, table } from './output.ts'
import { loadSetup } from './streams.ts'

interface AuditOptions extends AuditTexts {
  readonly stream?: string
  readonly limit: number
  readonly json?: boolean
}

const PAGE = 500

/** What operators did, newest first; of all streams unless one is named. */
export async function audit({ stream: name, limit, json, ...texts }: AuditOptions): Promise<void> {
  const read = readAuditFilter(texts, Date.now())
  if (!read.ok) throw new UsageError(`--${read.what} ${read.message}`)
  const { config, streams } = await loadSetup()
  const stream = name === undefined ? undefined : streamNamed(streams, name).name
  await using parts = new AsyncDisposableStack()
  const pool = createPool({ ...config.postgres, max: 1, name: 'audit' })
  parts.defer(() => pool.end())
  const shown: AuditEntry[] = []
  let before: string | undefined
  for (let left = limit; left > 0; ) {
    const page = await readAudit(pool, stream, { ...read.filter, limit: Math.min(PAGE, left), before })
    if (json) await printAll(page.map(entry => JSON.stringify(entry)))
    else shown.push(...page)
    left = page.length < PAGE ? 0 : left - page.length
    before = page.at(-1)?.id
  }
  if (json) return
  if (shown.length === 0) return note('nothing is noted that matches')
  const several = stream === undefined && streams.length > 1
  print(
    table(
      ['at', 'id', ...(several ? ['stream'] : []), 'who', 'what', 'filter', 'why', 'counts'],
      shown.map(entry => cellsOf(entry, several)),
    ),
  )
}

function cellsOf({ at, id, stream, who, what, filter, because, counts }: AuditEntry, several: boolean): string[] {
  const figures = Object.entries(counts).map(
    ([name, value]) => `${name} ${typeof value === 'object' ? JSON.stringify(value) : value}`,
  )
  return [at, id, ...(several ? [stream] : []), who, what, filter, because, figures.join(', ')]
}
