import { createInterface } from 'node:readline/promises'
import { UsageError } from '../engine/errors.ts'
import { grouped } from '../engine/grouped.ts'
import { CommandFailed } from './failure.ts'

export interface Question {
  /** What is done with them, as `Discard`. */
  readonly verb: string
  readonly count: number
  /** Singular. Default: `dead letter`. */
  readonly what?: string
  /** Whether `--yes` was given. */
  readonly yes: boolean | undefined
  /** The flag, or command, that only shows them. Default: `--dry-run`. */
  readonly look?: string
  /** Whether many must be confirmed by their number. Default: yes. */
  readonly byNumber?: boolean
  readonly input?: NodeJS.ReadStream
  readonly output?: NodeJS.WritableStream
}

/** Above this count a "y" is typed too easily. */
const TYPE_THE_NUMBER_ABOVE = 100

/**
 * Asks on the terminal; over a hundred must be confirmed by their number.
 * @throws UsageError without a terminal; CommandFailed when the answer is no
 */
export async function confirm(question: Question): Promise<void> {
  const {
    verb,
    count,
    what = 'dead letter',
    yes,
    look = '--dry-run',
    input = process.stdin,
    output = process.stderr,
  } = question
  if (yes) return
  const asked = `${verb} ${grouped(count)} ${what}${count === 1 ? '' : 's'}?`
  if (!input.isTTY) throw new UsageError(`${asked} There is no terminal to ask on: give --yes, or ${look} to only look`)
  const byNumber = (question.byNumber ?? true) && count > TYPE_THE_NUMBER_ABOVE
  const answer = await ask(`${asked} ${byNumber ? `Type ${count} to continue` : '[y/N]'} `, input, output)
  const agreed = byNumber ? answer.replaceAll(',', '') === String(count) : /^y(es)?$/i.test(answer)
  if (!agreed) throw new CommandFailed('not confirmed: nothing was done')
}

export interface TypedQuestion {
  /** What will be done, and to what. */
  readonly about: readonly string[]
  /** What must be typed, letter for letter. */
  readonly word: string
  /** As `the name of the database`. */
  readonly what: string
  /** What to do where there is no terminal to type on. */
  readonly otherwise: string
  readonly input?: NodeJS.ReadStream
  readonly output?: NodeJS.WritableStream
}

/**
 * For what cannot be undone: a name must be typed, and no flag answers instead.
 * @throws UsageError without a terminal; CommandFailed when something else was typed
 */
export async function confirmByTyping(question: TypedQuestion): Promise<void> {
  const { about, word, what, otherwise, input = process.stdin, output = process.stderr } = question
  if (!input.isTTY)
    throw new UsageError(`${about[0]} This must be confirmed by typing, and there is no terminal. ${otherwise}`)
  for (const line of about) output.write(`${line}\n`)
  const typed = await ask(`Type ${what} (${word}) to continue: `, input, output)
  if (typed !== word) throw new CommandFailed('not confirmed: nothing was done')
}

/** @returns what was typed; an empty text at Ctrl-C, or when the terminal is closed */
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
