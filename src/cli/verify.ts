import type { Command } from 'commander'

export function register(program: Command): void {
  program
    .command('verify')
    .description('prove that each consumed offset is accounted for')
    .option('--json', 'the proof as one JSON object')
    .addHelpText(
      'after',
      `
Holds the ledger, the tables, Kafka's committed offsets and the dead-letter topic against one another. Changes nothing and
may run beside the service. Exit code 1 names partition and offset of what does not add up.

Examples:
  holdfast verify
  holdfast verify --json | jq .findings`,
    )
    .action(verify)
}

async function verify({ json }: { readonly json?: boolean }): Promise<void> {
  const [{ loadConfig }, { print, note, paint, table }, { CommandFailed }, { verifyStream }] = await Promise.all([
    import('../config.ts'),
    import('./output.ts'),
    import('./failure.ts'),
    import('./proof.ts'),
  ])
  const proof = await verifyStream(loadConfig(process.env))
  const { findings, expired, skipped, totals } = proof

  if (json) {
    print(
      JSON.stringify({
        verify: proof.result,
        topic: proof.topic,
        group_id: proof.groupId,
        partitions: proof.partitions.map(({ firstOffset, nextOffset, topicId: _, ...sums }) => ({
          ...sums,
          first_offset: String(firstOffset),
          next_offset: String(nextOffset),
          committed: proof.committed.get(sums.partition)?.toString() ?? null,
        })),
        totals,
        rows: { orders: proof.rows.orders, items: proof.rows.items, dead_letters: proof.rows.deadLetters },
        expired: expired.map(rangeJson),
        skipped: skipped.map(rangeJson),
        findings: findings.map(({ partition, offset, what }) => ({
          partition: partition ?? null,
          offset: offset?.toString() ?? null,
          what,
        })),
      }),
    )
  } else {
    const columns = [
      'records',
      'written',
      'superseded',
      'stale',
      'duplicate',
      'dead_lettered',
      'gaps',
      'expired',
      'skipped',
    ] as const
    print(
      table(
        ['partition', 'from', 'next', 'committed', ...columns],
        proof.partitions.map(books => [
          String(books.partition),
          String(books.firstOffset),
          String(books.nextOffset),
          String(proof.committed.get(books.partition) ?? '-'),
          ...columns.map(column => String(books[column])),
        ]),
      ),
    )
    for (const { partition, from, to } of skipped) {
      const did = to < from ? `moved back from ${from} to ${to}` : `skipped [${from}, ${to})`
      note(`partition ${partition}: an operator ${did}`)
    }
    if (proof.partitions.length === 0) note(`group ${proof.groupId} has consumed nothing of ${proof.topic} yet`)
    for (const { partition, offset, what } of findings) {
      const where =
        partition === undefined ? '' : `partition ${partition}${offset === undefined ? '' : ` offset ${offset}`}: `
      note(`${paint('red', 'found')} ${where}${what}`)
    }
    if (findings.length === 0) note(`${paint('green', 'ok')}: ${totals.records} records, each accounted for`)
  }
  if (findings.length > 0) {
    throw new CommandFailed(`the proof failed: ${findings.length} ${findings.length === 1 ? 'finding' : 'findings'}`)
  }
}

function rangeJson({ partition, from, to }: { partition: number; from: bigint; to: bigint }) {
  return { partition, from: String(from), to: String(to) }
}
