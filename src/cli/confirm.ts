import { createInterface } from 'node:readline/promises'
import { UsageError } from '../core/errors.ts'
import { CommandFailed } from './failure.ts'
import { grouped } from './progress.ts'

export interface Question {
  /** As `Discard`: what is done with them. */
  readonly verb: string
  readonly count: number
  /** Singular. Default: `dead letter`. */
  readonly what?: string
  /** Of `--yes`. */
  readonly yes: boolean | undefined
  readonly input?: NodeJS.ReadStream
  readonly output?: NodeJS.WritableStream
}

/** Above it a "y" comes too easily. */
const TYPE_THE_NUMBER_ABOVE = 100

/**
 * Asks on the terminal; over a hundred must be confirmed by their number.
 * @throws UsageError without a terminal; CommandFailed when the answer is no
 */
export async function confirm(question: Question): Promise<void> {
  const { verb, count, what = 'dead letter', yes, input = process.stdin, output = process.stderr } = question
  if (yes) return
  const asked = `${verb} ${grouped(count)} ${what}${count === 1 ? '' : 's'}?`
  if (!input.isTTY)
    throw new UsageError(`${asked} There is no terminal to ask on: say --yes, or --dry-run to only look`)
  const byNumber = count > TYPE_THE_NUMBER_ABOVE
  const answer = await ask(`${asked} ${byNumber ? `Type ${count} to go on` : '[y/N]'} `, input, output)
  const agreed = byNumber ? answer.replaceAll(',', '') === String(count) : /^y(es)?$/i.test(answer)
  if (!agreed) throw new CommandFailed('not confirmed: nothing was done')
}

/** @returns what was typed; nothing at Ctrl-C, or when the terminal goes away */
async function ask(text: string, input: NodeJS.ReadStream, output: NodeJS.WritableStream): Promise<string> {
  using lines = createInterface({ input, output })
  const closed = new AbortController()
  lines.once('SIGINT', () => lines.close())
  lines.once('close', () => closed.abort())
  try {
    return (await lines.question(text, { signal: closed.signal })).trim()
  } catch (error) {
    if (!closed.signal.aborted) throw error
    output.write('\n')
    return ''
  }
}
