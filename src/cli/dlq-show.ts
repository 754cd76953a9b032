import { type Command, Option } from 'commander'

export function register(dlq: Command): void {
  dlq
    .command('show')
    .description('one of them: why, its bytes with the violations beside their places, headers, history')
    .argument('<id>', 'topic-partition-offset of the record')
    .addOption(
      new Option(
        '--raw',
        'the bytes of its value, as they are; on a terminal with what cannot be seen escaped',
      ).conflicts(['hex', 'json', 'masked']),
    )
    .addOption(new Option('--hex', 'the bytes of its value, as a dump').conflicts(['json', 'masked']))
    .option('--masked', 'without what may be personal')
    .option('--json', 'all of it as one JSON object')
    .addHelpText(
      'after',
      `
Who looks at more than --masked shows is noted in the audit log.

Examples:
  holdfast dlq show orders-3-81723
  holdfast dlq show orders-3-81723 --raw > order.json
  holdfast dlq show orders-3-81723 --json | jq -r '.violations[] | .pointer'`,
    )
    .action(show)
}

interface ShowOptions {
  readonly raw?: boolean
  readonly hex?: boolean
  readonly masked?: boolean
  readonly json?: boolean
}

async function show(id: string, { raw, hex, masked, json }: ShowOptions): Promise<void> {
  const [
    { openDesk, operator, recordOf },
    { CommandFailed },
    { print, write },
    answer,
    { letterText },
    { maskPersonal },
  ] = await Promise.all([
    import('./dlq-desk.ts'),
    import('./failure.ts'),
    import('./output.ts'),
    import('../http/letter-answer.ts'),
    import('./letter-text.ts'),
    import('../orders/mask.ts'),
  ])
  await using desk = openDesk()
  const { letters } = desk
  const letter = await letters.get(id)
  if (letter === undefined)
    throw new CommandFailed(`there is no dead letter ${id}; "holdfast dlq ls" shows which there are`)
  const record = await recordOf(desk.records, letter)
  // Before it is shown: what cannot be noted is not shown.
  if (!masked && record !== undefined) await letters.noteRevealed(`id:${id}`, [id], operator(undefined))

  if (raw || hex) {
    if (record === undefined) throw new CommandFailed(`the bytes of ${id} are not in the dead-letter topic (any more)`)
    const value = record.value ?? Buffer.of()
    // A terminal would obey what stands in it.
    if (raw && process.stdout.isTTY) return print(value.toString('utf8'))
    if (raw) return await write(value)
    const { hexDump } = await import('../../web/console/hex.js')
    return value.length === 0 ? undefined : print(hexDump(value))
  }
  const shown =
    record === undefined ? undefined : masked ? answer.maskedRecord(record, maskPersonal) : answer.wholeRecord(record)
  const history = await letters.history(id)
  const { traceUrl } = desk.config
  if (json) print(JSON.stringify(answer.letterJson(letter, shown, history, traceUrl)))
  else {
    const trace = answer.traceOf(shown, traceUrl)
    print(letterText({ letter, record: shown, history, trace, nowMs: Date.now() }))
  }
}
