import type { Command } from 'commander'
import type { CheckedPage, CheckResult } from '../core/dead-letter-desk.ts'
import { visible } from '../core/visible.ts'
import { parseCount } from './arguments.ts'
import { plural } from './words.ts'

export function register(dlq: Command): void {
  dlq
    .command('check')
    .description('would they pass now? Against the schema of today; writes nothing')
    .argument('[filter...]', 'which (default: all)')
    .option('--limit <n>', 'so many at most, latest failure first (default: all)', parseCount)
    .option('--json', 'one JSON object a line')
    .addHelpText(
      'after',
      `
Examples:
  holdfast dlq check state:open reason:schema_violation
  holdfast dlq check state:open --json | jq -r 'select(.passes) | .id'`,
    )
    .action(check)
}

interface CheckOptions {
  readonly limit?: number
  readonly json?: boolean
}

async function check(words: readonly string[], { limit, json }: CheckOptions): Promise<void> {
  const [{ filterOf, openDesk }, { onInterrupt }, { note, paint, printAll }, { startProgress }] = await Promise.all([
    import('./dlq-desk.ts'),
    import('./interrupt.ts'),
    import('./output.ts'),
    import('./progress.ts'),
  ])
  const filter = filterOf(words)
  const { CommandFailed } = await import('./failure.ts')
  await using desk = openDesk()
  using interrupt = onInterrupt()
  const counts = { passing: 0, failing: 0, gone: 0 }
  let checked = 0
  const progress = startProgress({ label: 'checked', silent: json === true })
  try {
    const pages = desk.check({ filter, limit: limit ?? Number.POSITIVE_INFINITY, after: undefined })
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
  const lost = gone === 0 ? '' : `, ${gone} cannot be told: their bytes are gone, or nobody knows where they stand`
  note(`${plural(checked, 'dead letter')}: ${paint('green', `${passing} would pass`)}, ${failing} would not${lost}`)
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
