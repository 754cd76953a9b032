import { confirm } from '../../cli/confirm.ts'
import { actingOperator } from '../../cli/operator-name.ts'
import { note, print } from '../../cli/output.ts'
import { grouped } from '../../engine/grouped.ts'
import type { Operator } from '../../engine/operator.ts'
import { offers } from '../letter-states.ts'
import type { Redrive } from '../redrive-ports.ts'
import { type DeadLetters, type DlqOptions, openDeadLetters } from './dlq-parts.ts'
import { endLine } from './redrive-words.ts'

interface SteerOptions extends DlqOptions {
  readonly because?: string
}

interface CancelOptions extends SteerOptions {
  readonly yes?: boolean
}

type Step = (inbox: DeadLetters, id: string, by: Operator) => Promise<Redrive>

/** `dlq redrive --resume` continues it. */
export async function pause(id: string, options: SteerOptions): Promise<void> {
  await steer(id, options, (inbox, id, by) => inbox.redrives.pause(id, by))
  note(`to continue: holdfast dlq redrive --resume ${id}`)
}

export async function cancel(id: string, options: CancelOptions): Promise<void> {
  const { automatic } = await steer(id, options, async (inbox, id, by) => {
    const redrive = await inbox.redrives.get(id)
    // Where there is nothing to cancel, the refusal says so.
    if (redrive !== undefined && offers(redrive.state, 'cancel')) {
      const { published, total, pending } = redrive
      note(`what became of ${grouped(published)} of ${grouped(total)} stays so; the others wait as before`)
      await confirm({
        verb: 'Cancel the redrive, and release',
        count: pending,
        yes: options.yes,
        look: 'dlq redrives',
        byNumber: false,
      })
    }
    return await inbox.redrives.cancel(id, by)
  })
  if (automatic) note('while automatic redrives are on, another one may follow: holdfast dlq auto off')
}

async function steer(id: string, options: SteerOptions, step: Step): Promise<Redrive> {
  await using inbox = await openDeadLetters(options)
  const redrive = await step(inbox, id, actingOperator(inbox.config, options))
  print(options.json ? JSON.stringify(redrive) : endLine(redrive, 0))
  if (redrive.state === 'pausing' || redrive.state === 'cancelling')
    note('it takes effect at the end of the current page')
  return redrive
}
