import type { Command } from 'commander'
import type { SourceRecord } from '../core/record.ts'
import { plural } from './words.ts'

export function register(dlq: Command): void {
  dlq
    .command('export')
    .description('all there is of each, one JSON object a line: columns, violations, headers, key and value')
    .argument('[filter...]', 'which (default: all)')
    .option('--json', 'it is never anything else')
    .addHelpText(
      'after',
      `
What is text in UTF-8 stands in "text", anything else in "base64". Noted in the audit log: the bytes may be personal.

Examples:
  holdfast dlq export state:open > open.ndjson
  holdfast dlq export uid:b563feb7b2b84b6test | jq -r .value.text`,
    )
    .action(exportAll)
}

const PAGE = 500

async function exportAll(words: readonly string[]): Promise<void> {
  const [
    { filterOf, openDesk, operator },
    { dlqPlaceOf },
    { printFilter },
    { readViolations },
    output,
    { startProgress },
    { onInterrupt },
    { CommandFailed },
  ] = await Promise.all([
    import('./dlq-desk.ts'),
    import('../core/dead-letter-desk.ts'),
    import('../core/dead-letter-filter.ts'),
    import('../postgres/dead-letter-violations.ts'),
    import('./output.ts'),
    import('./progress.ts'),
    import('./interrupt.ts'),
    import('./failure.ts'),
  ])
  const filter = filterOf(words)
  const by = operator('exported')
  await using desk = openDesk()
  using interrupt = onInterrupt()
  const progress = startProgress({ label: 'exported' })
  let done = 0
  let gone = 0
  let after: Parameters<typeof desk.letters.page>[0]['after']
  try {
    do {
      const { rows, next } = await desk.letters.page({ filter, limit: PAGE, after })
      const ids = rows.map(({ id }) => id)
      // Before they leave: what cannot be noted is not shown.
      await desk.letters.noteRevealed(printFilter(filter), ids, by)
      const violations = await readViolations(desk.pool, ids)
      const waiting = new Map(rows.map(row => [row.id, row]))
      // In the order of the topic, one at a time: a page of large ones need not fit into memory.
      for await (const { id, record } of desk.records.read(rows.flatMap(row => dlqPlaceOf(row) ?? []))) {
        const row = waiting.get(id)
        if (!waiting.delete(id)) continue
        await output.printAll([JSON.stringify({ ...row, violations: violations.get(id) ?? [], ...bytesOf(record) })])
        progress.update({ done: ++done })
      }
      for (const row of waiting.values()) {
        gone += 1
        const nothing = { headers: [], key: null, value: null, value_gone: true }
        await output.printAll([JSON.stringify({ ...row, violations: violations.get(row.id) ?? [], ...nothing })])
        progress.update({ done: ++done })
      }
      if (interrupt.signal.aborted) throw new CommandFailed('interrupted: not all were exported', { exitCode: 3 })
      after = next
    } while (after !== undefined)
  } finally {
    progress.stop()
  }
  if (gone > 0) output.note(`of ${plural(gone, 'dead letter')} the bytes are not in the dead-letter topic (any more)`)
}

function bytesOf({ headers, key, value }: SourceRecord): object {
  return {
    headers: headers.map(([name, bytes]) => ({ name, ...encoded(bytes) })),
    key: key === null ? null : encoded(key),
    value: value === null ? null : encoded(value),
  }
}

/** Text that is given back as the same bytes, or base64. */
function encoded(bytes: Buffer): { readonly text: string } | { readonly base64: string } {
  const text = bytes.toString('utf8')
  return Buffer.from(text).equals(bytes) ? { text } : { base64: bytes.toString('base64') }
}
