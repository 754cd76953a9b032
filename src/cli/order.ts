import type { Command } from 'commander'

export function register(program: Command): void {
  program
    .command('order')
    .description('look at stored orders')
    .addHelpText('after', '\nExample:\n  holdfast order get b563feb7b2b84b6test')
    .command('get')
    .description('print one order as JSON; exit code 1 when there is none')
    .argument('<uid>')
    .option('--json', 'on one line')
    .addHelpText('after', "\nExample:\n  holdfast order get b563feb7b2b84b6test --json | jq '.items | length'")
    .action(getOrder)
}

async function getOrder(uid: string, { json }: { readonly json?: boolean }): Promise<void> {
  const [
    { loadConfig },
    { CommandFailed },
    { print },
    { UsageError },
    { UID_PATTERN },
    { orderQueries },
    { createPool },
    { createOrderReader },
  ] = await Promise.all([
    import('../config.ts'),
    import('./failure.ts'),
    import('./output.ts'),
    import('../core/errors.ts'),
    import('../orders/order-schema.ts'),
    import('../orders/order-rows.ts'),
    import('../postgres/pool.ts'),
    import('../postgres/order-reader.ts'),
  ])
  if (!new RegExp(UID_PATTERN).test(uid)) {
    throw new UsageError(`${JSON.stringify(uid)} is no order uid: it must be 1 to 64 of A-Z a-z 0-9 _ -`)
  }
  const { postgres } = loadConfig(process.env)
  const pool = createPool({ ...postgres, max: 1, name: 'cli' })
  try {
    const order = await createOrderReader(pool, orderQueries).read(uid)
    if (order === undefined) throw new CommandFailed(`there is no order ${uid}`)
    const text = order.json.toString()
    print(json ? text : JSON.stringify(JSON.parse(text), undefined, 2))
  } finally {
    await pool.end()
  }
}
