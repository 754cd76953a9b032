import { note, print, table } from '../../cli/output.ts'
import { ago, plural } from '../../cli/words.ts'
import { groupJson } from '../json.ts'
import { answerable, filterOf } from './dlq-filter.ts'
import { type DlqOptions, openDeadLetters } from './dlq-parts.ts'

export async function stats(words: readonly string[], options: DlqOptions): Promise<void> {
  const written = filterOf(words)
  await using inbox = await openDeadLetters(options)
  const filter = await answerable(inbox, written, options)
  const groups = await inbox.letters.groups(filter)
  if (options.json) {
    for (const group of groups) print(JSON.stringify(groupJson(group)))
    return
  }
  const now = Date.now()
  if (groups.length > 0) {
    print(
      table(
        ['count', 'open', 'reason', 'error', 'pointer', 'first', 'last', 'one of them'],
        groups.map(group => [
          String(group.count),
          String(group.states.open ?? 0),
          group.reason,
          group.error,
          group.pointer,
          ago(group.first_seen, now),
          ago(group.last_seen, now),
          group.sample.id,
        ]),
      ),
    )
  }
  const total = groups.reduce((sum, { count }) => sum + count, 0)
  const open = groups.reduce((sum, { states }) => sum + (states.open ?? 0), 0)
  note(
    total === 0
      ? 'no dead letters'
      : `${plural(total, 'dead letter')}, ${open} open, ${plural(groups.length, 'cause')}`,
  )
}
