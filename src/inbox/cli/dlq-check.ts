import { CommandFailed } from '../../cli/failure.ts'
import { onInterrupt } from '../../cli/interrupt.ts'
import { note, paint, printAll } from '../../cli/output.ts'
import { startProgress } from '../../cli/progress.ts'
import { plural } from '../../cli/words.ts'
import { grouped } from '../../engine/grouped.ts'
import { visible } from '../../engine/visible.ts'
import type { CheckedPage, CheckResult } from '../ports.ts'
import { answerable, filterOf } from './dlq-filter.ts'
import { type DlqOptions, openDeadLetters } from './dlq-parts.ts'

interface CheckOptions extends DlqOptions {
  readonly limit?: number
}

export async function check(words: readonly string[], options: CheckOptions): Promise<void> {
  const { limit, json } = options
  const written = filterOf(words)
  await using inbox = await openDeadLetters(options)
  const filter = await answerable(inbox, written, options)
  using interrupt = onInterrupt()
  const counts = { passing: 0, failing: 0, gone: 0 }
  let checked = 0
  const progress = startProgress({ label: 'checked', silent: json === true })
  try {
    const pages = inbox.check({ filter, limit: limit ?? Number.POSITIVE_INFINITY, after: undefined })
    for await (const { id, passes, violations } of resultsOf(pages)) {
      counts[passes === undefined ? 'gone' : passes ? 'passing' : 'failing'] += 1
      checked += 1
      progress.update({ done: checked })
      if (json) await printAll([JSON.stringify({ id, passes: passes ?? null, violations })])
      else await printAll([`${visible(id)}  ${verdict(passes)}${firstOf(violations)}`])
      if (interrupt.signal.aborted) throw new CommandFailed('interrupted: not all were checked', { exitCode: 3 })
    }
  } finally {
    progress.stop()
  }
  if (json) return
  const { passing, failing, gone } = counts
  const lost =
    gone === 0
      ? ''
      : `, ${grouped(gone)} cannot be checked: their bytes are gone, or their place in the topic is not known`
  note(
    `${plural(checked, 'dead letter')}: ${paint('green', `${grouped(passing)} would pass`)}, ${grouped(failing)} would not${lost}`,
  )
}

async function* resultsOf(pages: AsyncIterable<CheckedPage>): AsyncIterable<CheckResult> {
  for await (const { results } of pages) yield* results
}

function verdict(passes: boolean | undefined): string {
  return passes === undefined ? 'gone' : passes ? 'passes' : 'fails'
}

function firstOf([first]: readonly { readonly pointer: string; readonly keyword: string; readonly message: string }[]) {
  return first === undefined
    ? ''
    : `  ${visible(`${first.pointer || '(the whole)'}  ${first.keyword}: ${first.message}`)}`
}
