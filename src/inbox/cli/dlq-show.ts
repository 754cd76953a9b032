import { hexDump } from '../../../web/console/hex.js'
import { CommandFailed } from '../../cli/failure.ts'
import { actingOperator } from '../../cli/operator-name.ts'
import { note, print, write } from '../../cli/output.ts'
import { UsageError } from '../../engine/errors.ts'
import * as answer from '../http/letter-answer.ts'
import { type DlqOptions, openDeadLetters, recordOf } from './dlq-parts.ts'
import { letterText } from './letter-text.ts'

interface ShowOptions extends DlqOptions {
  readonly raw?: boolean
  readonly hex?: boolean
  readonly reveal?: boolean
}

export async function show(id: string, options: ShowOptions): Promise<void> {
  const { raw, hex, reveal, json } = options
  if ((raw || hex) && !reveal)
    throw new UsageError(
      `--${raw ? 'raw' : 'hex'} shows all of the value: add --reveal, which is noted in the audit log`,
    )
  await using inbox = await openDeadLetters(options, id)
  const { letters } = inbox
  const letter = await letters.get(id)
  if (letter === undefined)
    throw new CommandFailed(`there is no dead letter ${id}; "holdfast dlq ls" shows which there are`)
  const record = await recordOf(inbox.records, letter)
  // First the audit log: what cannot be noted there is not shown.
  if (reveal && record !== undefined)
    await letters.noteRevealed(`id:${id}`, [id], actingOperator(inbox.config, options))

  if (raw || hex) {
    if (record === undefined) throw new CommandFailed(`the bytes of ${id} are not in the dead-letter topic (any more)`)
    const value = record.value ?? Buffer.of()
    // A terminal would act on control sequences in it.
    if (raw && process.stdout.isTTY) return print(value.toString('utf8'))
    if (raw) return await write(value)
    return value.length === 0 ? undefined : print(hexDump(value))
  }
  const shown =
    record === undefined ? undefined : reveal ? answer.wholeRecord(record) : answer.maskedRecord(record, inbox.stream)
  const history = await letters.history(id)
  const { traceUrl } = inbox.config
  if (json) print(JSON.stringify(answer.letterJson(letter, shown, history, traceUrl)))
  else {
    const trace = answer.traceOf(shown, traceUrl)
    print(letterText({ letter, record: shown, history, trace, nowMs: Date.now() }))
  }
  if (!reveal && shown !== undefined)
    note('what may be personal is masked: --reveal shows it, and is noted in the audit log')
}
