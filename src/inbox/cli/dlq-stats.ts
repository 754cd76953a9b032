import { note, print, table } from '../../cli/output.ts'
import { inRounds, type WatchOptions } from '../../cli/watch.ts'
import { ago, plural } from '../../cli/words.ts'
import { grouped } from '../../engine/grouped.ts'
import { groupJson } from '../json.ts'
import { answerable, filterOf } from './dlq-filter.ts'
import { type DeadLetters, type DlqOptions, openDeadLetters } from './dlq-parts.ts'

export async function stats(words: readonly string[], options: DlqOptions & WatchOptions): Promise<void> {
  await using inbox = await openDeadLetters(options)
  await inRounds(options, begin => oneRound(inbox, words, options, begin))
}

async function oneRound(
  inbox: DeadLetters,
  words: readonly string[],
  options: DlqOptions & WatchOptions,
  begin: () => void,
): Promise<void> {
  // Read again in each round: the times of age: and the like move on.
  const written = filterOf(words)
  const filter = await answerable(inbox, written, options)
  const groups = await inbox.letters.groups(filter)
  begin()
  if (options.json) {
    if (options.watch) print(JSON.stringify({ at: new Date().toISOString(), groups: groups.map(groupJson) }))
    else for (const group of groups) print(JSON.stringify(groupJson(group)))
    return
  }
  const now = Date.now()
  if (groups.length > 0) {
    print(
      table(
        ['count', 'open', 'reason', 'error', 'pointer', 'first', 'last', 'one of them'],
        groups.map(group => [
          grouped(group.count),
          grouped(group.states.open ?? 0),
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
      : `${plural(total, 'dead letter')}, ${grouped(open)} open, ${plural(groups.length, 'cause')}`,
  )
}
