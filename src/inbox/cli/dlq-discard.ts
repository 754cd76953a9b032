import { confirm } from '../../cli/confirm.ts'
import { actingOperator } from '../../cli/operator-name.ts'
import { note, print } from '../../cli/output.ts'
import { plural } from '../../cli/words.ts'
import { UsageError } from '../../engine/errors.ts'
import { discardable } from '../ports.ts'
import { answerable, filterOf } from './dlq-filter.ts'
import { type DlqOptions, openDeadLetters } from './dlq-parts.ts'

interface DiscardOptions extends DlqOptions {
  readonly because: string
  readonly dryRun?: boolean
  readonly yes?: boolean
}

export async function discard(words: readonly string[], options: DiscardOptions): Promise<void> {
  const { because, dryRun, yes, json } = options
  if (because.trim() === '') throw new UsageError('--because is empty: say why, the audit log keeps it')
  const written = filterOf(words)
  await using inbox = await openDeadLetters(options)
  const filter = await answerable(inbox, written, options)
  const { count, not_open } = discardable(await inbox.letters.groups(filter))
  if (not_open > 0)
    note(`${plural(not_open, 'match', 'match')} but ${not_open === 1 ? 'is' : 'are'} neither open nor parked`)
  if (dryRun || count === 0) {
    const left_out = not_open === 0 ? {} : { not_open }
    if (json) print(JSON.stringify({ discarded: dryRun ? count : 0, action: null, left_out }))
    else print(dryRun ? `${plural(count, 'dead letter')} would be discarded` : 'nothing to discard')
    return
  }
  await confirm({ verb: 'Discard', count, yes })
  const { discarded, action } = await inbox.letters.discard(filter, actingOperator(inbox.config, options))
  if (json) print(JSON.stringify({ discarded, action }))
  else print(`${plural(discarded, 'dead letter')} discarded; to undo it: holdfast dlq restore ${action}`)
}
