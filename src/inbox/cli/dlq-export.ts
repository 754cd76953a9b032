import { CommandFailed } from '../../cli/failure.ts'
import { onInterrupt } from '../../cli/interrupt.ts'
import { actingOperator } from '../../cli/operator-name.ts'
import { note, printAll } from '../../cli/output.ts'
import { startProgress } from '../../cli/progress.ts'
import { plural } from '../../cli/words.ts'
import type { SourceRecord } from '../../engine/record.ts'
import { printFilter } from '../filter.ts'
import { rowJson } from '../json.ts'
import { dlqPlaceOf } from '../ports.ts'
import { readViolations } from '../postgres/dead-letter-violations.ts'
import { answerable, filterOf } from './dlq-filter.ts'
import { type DlqOptions, openDeadLetters } from './dlq-parts.ts'

const PAGE = 500

export async function exportAll(words: readonly string[], options: DlqOptions): Promise<void> {
  const written = filterOf(words)
  await using inbox = await openDeadLetters(options)
  const filter = await answerable(inbox, written, options)
  const by = actingOperator(inbox.config, { ...options, because: 'exported' })
  using interrupt = onInterrupt()
  const progress = startProgress({ label: 'exported' })
  let done = 0
  let gone = 0
  let after: Parameters<typeof inbox.letters.page>[0]['after']
  try {
    do {
      const { rows, next } = await inbox.letters.page({ filter, limit: PAGE, after })
      const ids = rows.map(({ id }) => id)
      // First the audit log: what cannot be noted there is not shown.
      await inbox.letters.noteRevealed(printFilter(filter), ids, by)
      const violations = await readViolations(inbox.pool, ids)
      const waiting = new Map(rows.map(row => [row.id, row]))
      // In the order of the topic, one at a time: a page of large records need not fit into memory.
      for await (const { id, record } of inbox.records.read(rows.flatMap(row => dlqPlaceOf(row) ?? []))) {
        const row = waiting.get(id)
        if (row === undefined) continue
        waiting.delete(id)
        await printAll([JSON.stringify({ ...rowJson(row), violations: violations.get(id) ?? [], ...bytesOf(record) })])
        progress.update({ done: ++done })
      }
      for (const row of waiting.values()) {
        gone += 1
        const nothing = { headers: [], record_key: null, value: null, value_gone: true }
        await printAll([JSON.stringify({ ...rowJson(row), violations: violations.get(row.id) ?? [], ...nothing })])
        progress.update({ done: ++done })
      }
      if (interrupt.signal.aborted) throw new CommandFailed('interrupted: not all were exported', { exitCode: 3 })
      after = next
    } while (after !== undefined)
  } finally {
    progress.stop()
  }
  if (gone > 0) note(`the bytes of ${plural(gone, 'dead letter')} are not in the dead-letter topic (any more)`)
}

function bytesOf({ headers, key, value }: SourceRecord): object {
  return {
    headers: headers.map(([name, bytes]) => ({ name, ...encoded(bytes) })),
    record_key: key === null ? null : encoded(key),
    value: value === null ? null : encoded(value),
  }
}

/** As text where that gives the same bytes back, else as base64. */
function encoded(bytes: Buffer): { readonly text: string } | { readonly base64: string } {
  const text = bytes.toString('utf8')
  return Buffer.from(text).equals(bytes) ? { text } : { base64: bytes.toString('base64') }
}
