import { type Command, InvalidArgumentError, Option } from 'commander'
import type { ReplayRequest } from '../core/dead-letter-desk.ts'
import type { DeadLetterFilter } from '../core/dead-letter-filter.ts'
import { parseCount, parseRate } from './arguments.ts'
import type { DlqDesk } from './dlq-desk.ts'

interface ReplayOptions {
  readonly dryRun?: boolean
  readonly rate?: number
  readonly limit?: number
  readonly onlyPassing?: boolean
  readonly edit?: string
  readonly because?: string
  readonly resume?: string
  readonly yes?: boolean
  readonly json?: boolean
}

export function register(dlq: Command): void {
  const fresh = (option: Option) => option.conflicts('resume')
  dlq
    .command('replay')
    .description('redrive: publish to the topic once more')
    .argument('[filter...]', 'which: of what matches, the open ones; parked or replaying ones when it names that state')
    .addOption(fresh(new Option('--dry-run', 'only say what would be redriven')))
    .addOption(
      fresh(new Option('--rate <r/s>', 'records a second (default: as fast as acknowledged)').argParser(parseRate)),
    )
    .addOption(fresh(new Option('--limit <n>', 'the oldest so many').argParser(parseLimit)))
    .addOption(fresh(new Option('--only-passing', 'only those that are valid today')))
    .addOption(fresh(new Option('--edit <file>', 'one dead letter with this value instead of its own; - reads stdin')))
    .option('--because <text>', 'for the audit log')
    .option('--yes', 'do not ask')
    .option('--resume <id>', 'go on with a redrive that is paused, or whose process is gone')
    .option('--json', 'the preview, or what came of it, as a JSON object')
    .addHelpText(
      'after',
      `
The set is frozen when it starts; one redrive is under way at a time. It works whether the service runs or not: in this
process, unless a service that runs jobs takes it first. It ends when consumers have settled each record once more. Ctrl-C
pauses it and says how to go on. Exit code 3: some failed again or were skipped, or it was paused.

Examples:
  holdfast dlq replay reason:schema_violation 'pointer:/payment/*' --dry-run
  holdfast dlq replay error:required --only-passing --rate 100/s --because "producer 1.5 is out"
  holdfast dlq replay id:orders-3-81723 --edit order.json
  holdfast dlq replay --resume r4x0c2m8ab`,
    )
    .action(replay)
}

async function replay(words: readonly string[], options: ReplayOptions): Promise<void> {
  const [{ filterOf, openDesk, operator }, { UsageError }, { CommandFailed }] = await Promise.all([
    import('./dlq-desk.ts'),
    import('../core/errors.ts'),
    import('./failure.ts'),
  ])
  const { because, resume, json = false } = options
  if (resume === undefined && words.length === 0)
    throw new UsageError('say which, as in: holdfast dlq replay state:open')
  if (resume !== undefined && words.length > 0)
    throw new UsageError('--resume goes on with a frozen set, and takes no filter')
  const by = operator(because)
  await using desk = openDesk()
  const { ReplayRunningError } = await import('../core/dead-letter-desk.ts')
  let id: string | undefined
  try {
    id = resume === undefined ? await start() : (await desk.replays.resume(resume, by)).id
  } catch (error) {
    if (!(error instanceof ReplayRunningError)) throw error
    throw new CommandFailed(
      `${error.message}; if its process is gone: holdfast dlq replay --resume ${error.running.id}`,
    )
  }
  if (id === undefined) return
  // The native client is loaded last: what is wrong is told before it takes its time.
  const { runReplay } = await import('./replay-run.ts')
  await runReplay(desk, id, { by, json })

  /** @returns the id; nothing when there was nothing to do, or only a preview was asked for */
  async function start(): Promise<string | undefined> {
    const filter = filterOf(words)
    const request: ReplayRequest = {
      filter,
      rate: options.rate,
      limit: options.limit,
      onlyPassing: options.onlyPassing ?? false,
      edited: options.edit === undefined ? undefined : await readEdit(options.edit, desk, filter),
      automatic: false,
    }
    const [{ previewLines }, { note, print }, { confirm }] = await Promise.all([
      import('./replay-words.ts'),
      import('./output.ts'),
      import('./confirm.ts'),
    ])
    const preview = await desk.replays.preview(request)
    if (options.dryRun || preview.count === 0) {
      if (json) print(JSON.stringify({ preview }))
      else for (const line of previewLines(preview)) print(line)
      return undefined
    }
    for (const line of previewLines(preview)) note(line)
    await confirm({ verb: 'Redrive', count: preview.count, yes: options.yes })
    // What comes in meanwhile was not confirmed.
    const { id } = await desk.replays.start({ ...request, limit: preview.count }, by)
    if (!json) note(`redrive ${id}`)
    return id
  }
}

/** @throws UsageError when it cannot be read, would be a dead letter again, or is of another order than the letter */
async function readEdit(path: string, { config, letters }: DlqDesk, filter: DeadLetterFilter): Promise<Buffer> {
  const [{ readFile }, { buffer }, { isOfAnotherOrder }, { UsageError }, { createOrderJudge }, { whyNot }] =
    await Promise.all([
      import('node:fs/promises'),
      import('node:stream/consumers'),
      import('../core/dead-letter-desk.ts'),
      import('../core/errors.ts'),
      import('../orders/order.ts'),
      import('./order-file.ts'),
    ])
  let value: Buffer
  try {
    value = path === '-' ? await buffer(process.stdin) : await readFile(path)
  } catch (error) {
    throw new UsageError(`--edit ${path} cannot be read: ${whyNot(error)}`)
  }
  const verdict = createOrderJudge({ maxBytes: config.recordMaxBytes })({ key: null, value })
  if (verdict.ok) {
    const { rows } = await letters.page({ filter, limit: 2, after: undefined })
    if (rows.length > 1)
      throw new UsageError('--edit is for one dead letter, and the filter takes several: name it, id:…')
    const other = rows.find(letter => isOfAnotherOrder(letter, verdict.key))
    if (other === undefined) return value
    throw new UsageError(
      `--edit ${path} is the order ${verdict.key}, and ${other.id} is ${other.order_uid}, which would be stored nowhere`,
    )
  }
  const { rejection } = verdict
  const violations = rejection.violations.map(({ pointer, message }) => `\n  ${pointer || '(whole)'}: ${message}`)
  throw new UsageError(`--edit ${path} would be a dead letter again: ${rejection.message}${violations.join('')}`)
}

function parseLimit(text: string): number {
  const limit = parseCount(text)
  if (limit === 0) throw new InvalidArgumentError('It must be 1 at least.')
  return limit
}
