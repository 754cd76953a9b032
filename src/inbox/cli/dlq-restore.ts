import { actingOperator } from '../../cli/operator-name.ts'
import { print } from '../../cli/output.ts'
import { plural } from '../../cli/words.ts'
import { type DlqOptions, openDeadLetters } from './dlq-parts.ts'

interface RestoreOptions extends DlqOptions {
  readonly because?: string
}

/** @param action the number that the discard ended with */
export async function restore(action: string, options: RestoreOptions): Promise<void> {
  await using inbox = await openDeadLetters(options)
  const { restored } = await inbox.letters.restore(action, actingOperator(inbox.config, options))
  print(options.json ? JSON.stringify({ restored }) : `${plural(restored, 'dead letter')} restored`)
}
