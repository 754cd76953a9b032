import type { Command } from 'commander'
import { parseCount } from './arguments.ts'

export function register(program: Command): void {
  program
    .command('resume')
    .description('lift a pause that waits for an operator (storm guard)')
    .option('--partition <p>', 'only this partition (default: all that are paused)', parseCount)
    .option('--because <text>', 'for the audit log', 'not said')
    .option('--json', 'what was lifted, one JSON object a line')
    .addHelpText(
      'after',
      `
The service goes on within a second or two, and counts from 0. It stops again when the cause is still there: \`holdfast lag\` names it.

Examples:
  holdfast resume
  holdfast resume --partition 3 --because "producer 1.4 rolled back"`,
    )
    .action(resume)
}

interface ResumeOptions {
  readonly partition?: number
  readonly because: string
  readonly json?: boolean
}

async function resume({ partition, because, json }: ResumeOptions): Promise<void> {
  const [{ loadConfig }, { createPool }, { liftPauses }, { note, print }, { operatorName }] = await Promise.all([
    import('../config.ts'),
    import('../postgres/pool.ts'),
    import('../postgres/operator.ts'),
    import('./output.ts'),
    import('./operator-name.ts'),
  ])
  const { kafka, postgres } = loadConfig(process.env)
  await using parts = new AsyncDisposableStack()
  const pool = createPool({ ...postgres, max: 1, name: 'resume' })
  parts.defer(() => pool.end())
  const where = { topic: kafka.topic, groupId: kafka.groupId, ...(partition === undefined ? {} : { partition }) }
  const lifted = await liftPauses(pool, where, { who: operatorName(), because })
  for (const { partition, pausedFor, deadLettersInARow } of lifted) {
    const row = { partition, paused_for: pausedFor, dead_letters_in_a_row: deadLettersInARow }
    print(
      json
        ? JSON.stringify(row)
        : `partition ${partition} goes on (${pausedFor}, ${deadLettersInARow} dead letters in a row)`,
    )
  }
  if (lifted.length > 0) return
  const none = partition === undefined ? 'no partition waits' : `partition ${partition} does not wait`
  note(`nothing to resume: ${none} for an operator`)
}
