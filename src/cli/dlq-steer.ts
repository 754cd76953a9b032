import type { Command } from 'commander'

/** `pause` and `cancel`. To go on is `replay --resume`, which also works on it. */
export function register(dlq: Command): void {
  dlq
    .command('pause')
    .description('hold a redrive at the end of the page in hand')
    .argument('<id>', 'as "dlq replays" tells it')
    .option('--because <text>', 'for the audit log')
    .option('--json', 'the redrive as a JSON object')
    .addHelpText('after', '\nTo go on: holdfast dlq replay --resume ID\n\nExample:\n  holdfast dlq pause r4x0c2m8ab')
    .action((id: string, options: SteerOptions) => steer('pause', id, options))
  dlq
    .command('cancel')
    .description('end a redrive at the end of the page in hand')
    .argument('<id>', 'as "dlq replays" tells it')
    .option('--because <text>', 'for the audit log')
    .option('--json', 'the redrive as a JSON object')
    .addHelpText(
      'after',
      '\nWhat is published stays published; the others wait as before.\n\nExample:\n  holdfast dlq cancel r4x0c2m8ab --because "wrong filter"',
    )
    .action((id: string, options: SteerOptions) => steer('cancel', id, options))
}

interface SteerOptions {
  readonly because?: string
  readonly json?: boolean
}

async function steer(what: 'pause' | 'cancel', id: string, { because, json }: SteerOptions): Promise<void> {
  const [{ openDesk, operator }, { note, print }, { endLine }] = await Promise.all([
    import('./dlq-desk.ts'),
    import('./output.ts'),
    import('./replay-words.ts'),
  ])
  await using desk = openDesk()
  const replay = await desk.replays[what](id, operator(because))
  print(json ? JSON.stringify(replay) : endLine(replay, 0))
  if (replay.state === 'pausing' || replay.state === 'cancelling')
    note('it takes effect at the end of the page in hand')
  if (what === 'pause') note(`to go on: holdfast dlq replay --resume ${id}`)
  else if (replay.automatic) note('while automatic redrives are on, another one may follow: holdfast dlq auto off')
}
