import { actingOperator } from '../../cli/operator-name.ts'
import { note, print } from '../../cli/output.ts'
import { type DlqOptions, openDeadLetters } from './dlq-parts.ts'
import { endLine } from './redrive-words.ts'

interface SteerOptions extends DlqOptions {
  readonly because?: string
}

/** `dlq redrive --resume` continues it. */
export async function pause(id: string, options: SteerOptions): Promise<void> {
  await steer('pause', id, options)
  note(`to continue: holdfast dlq redrive --resume ${id}`)
}

export async function cancel(id: string, options: SteerOptions): Promise<void> {
  const { automatic } = await steer('cancel', id, options)
  if (automatic) note('while automatic redrives are on, another one may follow: holdfast dlq auto off')
}

async function steer(what: 'pause' | 'cancel', id: string, options: SteerOptions) {
  await using inbox = await openDeadLetters(options)
  const redrive = await inbox.redrives[what](id, actingOperator(inbox.config, options))
  print(options.json ? JSON.stringify(redrive) : endLine(redrive, 0))
  if (redrive.state === 'pausing' || redrive.state === 'cancelling')
    note('it takes effect at the end of the current page')
  return redrive
}
