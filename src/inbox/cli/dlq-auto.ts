import { actingOperator } from '../../cli/operator-name.ts'
import { print } from '../../cli/output.ts'
import { type DlqOptions, openDeadLetters } from './dlq-parts.ts'

interface AutoOptions extends DlqOptions {
  readonly because?: string
}

export async function auto(what: 'on' | 'off' | 'status', options: AutoOptions): Promise<void> {
  await using inbox = await openDeadLetters(options)
  const { automatic } = inbox
  const status =
    what === 'status'
      ? await automatic.status()
      : await automatic.set(what === 'on', actingOperator(inbox.config, options))
  if (options.json) return print(JSON.stringify(status))
  const since =
    status.changed_at === null ? 'as AUTO_REDRIVE says' : `since ${status.changed_at}, by ${status.changed_by}`
  const next = status.next_run === null ? '' : `; the next run is at ${status.next_run}`
  print(`automatic redrives are ${status.on ? 'on' : 'off'} (${since})${next}`)
}
