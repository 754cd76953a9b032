import { confirm } from '../../cli/confirm.ts'
import { CommandFailed } from '../../cli/failure.ts'
import { actingOperator } from '../../cli/operator-name.ts'
import { note, print } from '../../cli/output.ts'
import { readBytes } from '../../cli/value-file.ts'
import { UsageError } from '../../engine/errors.ts'
import { refuseEdit } from '../edit.ts'
import type { DeadLetterFilter } from '../filter.ts'
import { type GuardRequest, USUAL_RATE } from '../redrive-guard.ts'
import {
  type RedriveRequest,
  RedriveRunningError,
  type RedriveTarget,
  type ResumeLimits,
  USUAL_TARGET,
} from '../redrive-ports.ts'
import { answerable, filterOf } from './dlq-filter.ts'
import { type DeadLetters, type DlqOptions, openDeadLetters } from './dlq-parts.ts'
import { runRedrive } from './redrive-run.ts'
import { previewLines } from './redrive-words.ts'

export interface RedriveOptions extends DlqOptions {
  readonly dryRun?: boolean
  readonly to?: RedriveTarget
  readonly rate?: number | 'off'
  readonly limit?: number
  readonly onlyPassing?: boolean
  readonly edit?: string
  readonly canary?: number
  readonly maxFailures?: number | 'off'
  /** In ms. */
  readonly yieldAbove?: number | 'off'
  readonly because?: string
  readonly resume?: string
  readonly yes?: boolean
}

export async function redrive(words: readonly string[], options: RedriveOptions): Promise<void> {
  const { resume, json = false } = options
  if (resume === undefined && words.length === 0)
    throw new UsageError('say which, as in: holdfast dlq redrive state:open')
  if (resume !== undefined && words.length > 0)
    throw new UsageError('--resume continues with a frozen set, and takes no filter')
  await using inbox = await openDeadLetters(options)
  const by = actingOperator(inbox.config, options)
  let id: string | undefined
  try {
    id =
      resume === undefined
        ? await start(inbox, words, options)
        : (await inbox.redrives.resume(resume, by, limitsOf(options))).id
  } catch (error) {
    if (!(error instanceof RedriveRunningError)) throw error
    throw new CommandFailed(
      `${error.message}; if its process is gone: holdfast dlq redrive --resume ${error.running.id}`,
    )
  }
  if (id !== undefined) await runRedrive(inbox, id, { by, json })
}

/** @returns the id; nothing when there was nothing to do, or only a preview was asked for */
async function start(
  inbox: DeadLetters,
  words: readonly string[],
  options: RedriveOptions,
): Promise<string | undefined> {
  const filter = await answerable(inbox, filterOf(words), options)
  const request: RedriveRequest = {
    filter,
    to: options.to ?? USUAL_TARGET,
    rate: rateOf(options),
    limit: options.limit,
    onlyPassing: options.onlyPassing ?? false,
    edited: options.edit === undefined ? undefined : await readEdit(options.edit, inbox, filter),
    automatic: false,
    guard: guardOf(options),
  }
  const preview = await inbox.redrives.preview(request)
  if (options.dryRun || preview.count === 0) {
    if (options.json) print(JSON.stringify({ preview }))
    else for (const line of previewLines(preview, request.edited !== undefined)) print(line)
    return undefined
  }
  for (const line of previewLines(preview, request.edited !== undefined)) note(line)
  await confirm({ verb: 'Redrive', count: preview.count, yes: options.yes })
  // Only as many as were confirmed: others may have arrived meanwhile.
  const { id } = await inbox.redrives.start({ ...request, limit: preview.count }, actingOperator(inbox.config, options))
  if (!options.json) note(`redrive ${id}`)
  return id
}

/** Records a second; `undefined`: without a limit. */
export function rateOf({ rate = USUAL_RATE }: RedriveOptions): number | undefined {
  return rate === 'off' ? undefined : rate
}

/** Limits for a redrive that is resumed: what is not given stays as it was. */
export function limitsOf(options: RedriveOptions): ResumeLimits {
  const { maxFailures, yieldAboveSeconds } = guardOf(options)
  const { rate } = options
  return { rate: rate === 'off' ? null : rate, maxFailures, yieldAboveSeconds }
}

export function guardOf({ canary, maxFailures, yieldAbove }: RedriveOptions): GuardRequest {
  return {
    canary,
    maxFailures: maxFailures === 'off' ? null : maxFailures,
    yieldAboveSeconds: yieldAbove === 'off' ? 0 : yieldAbove && yieldAbove / 1000,
  }
}

/** @throws UsageError when it cannot be read, or may not take the place of the dead letter */
async function readEdit(path: string, { stream, letters }: DeadLetters, filter: DeadLetterFilter): Promise<Buffer> {
  const value = await readBytes(path, '--edit')
  const refused = await refuseEdit({ letters, judge: stream.judge }, filter, value)
  if (refused === undefined) return value
  const violations = refused.violations.map(({ pointer, message }) => `\n  ${pointer || '(whole)'}: ${message}`)
  throw new UsageError(`--edit ${path}: ${refused.message}${violations.join('')}`)
}
