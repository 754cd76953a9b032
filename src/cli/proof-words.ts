import { note, paint, print, table } from './output.ts'
import type { Verification } from './proof.ts'

const COLUMNS = [
  ...(['records', 'written', 'inserted', 'superseded', 'stale', 'duplicate'] as const),
  ...(['dead_lettered', 'gaps', 'expired', 'skipped'] as const),
]

/** The table of partitions on stdout; everything else on stderr. */
export function showProof(proof: Verification): void {
  const { findings, unasked, skipped, totals, unconsumed } = proof
  print(
    table(
      ['partition', 'from', 'next', 'committed', ...COLUMNS],
      proof.partitions.map(sums => [
        String(sums.partition),
        String(sums.firstOffset),
        String(sums.nextOffset),
        String(proof.committed.get(sums.partition) ?? '-'),
        ...COLUMNS.map(column => String(sums[column])),
      ]),
    ),
  )
  for (const { partition, from, to } of skipped) {
    note(`partition ${partition}: ${to < from ? `moved back from ${from} to ${to}` : `skipped [${from}, ${to})`}`)
  }
  if (unconsumed.length > 0 && proof.partitions.length > 0) {
    note(`not consumed yet, so nothing is proven of them: partitions ${unconsumed.join(', ')}`)
  }
  for (const { partition, offset, what } of findings) {
    const where =
      partition === undefined ? '' : `partition ${partition}${offset === undefined ? '' : ` offset ${offset}`}: `
    note(`${paint('red', 'found')} ${where}${what}`)
  }
  for (const { what, why } of unasked) note(`${paint('yellow', 'could not ask')} for ${what}: ${why}`)
  if (proof.result === 'ok') note(`${paint('green', 'ok')}: ${totals.records} records, each accounted for`)
}

/** One JSON object: names as the columns are named, offsets as text. */
export function proofJson(proof: Verification): object {
  return {
    verify: proof.result,
    topic: proof.topic,
    group_id: proof.groupId,
    partitions: proof.partitions.map(({ firstOffset, nextOffset, accountedFrom: _from, topicId: _id, ...sums }) => ({
      ...sums,
      first_offset: String(firstOffset),
      next_offset: String(nextOffset),
      committed: proof.committed.get(sums.partition)?.toString() ?? null,
    })),
    unconsumed: proof.unconsumed,
    totals: proof.totals,
    rows: { orders: proof.rows.orders, items: proof.rows.items, dead_letters: proof.rows.deadLetters },
    expired: proof.expired.map(rangeJson),
    skipped: proof.skipped.map(rangeJson),
    findings: proof.findings.map(({ partition, offset, what }) => ({
      partition: partition ?? null,
      offset: offset?.toString() ?? null,
      what,
    })),
    unasked: proof.unasked,
  }
}

function rangeJson({ partition, from, to }: { partition: number; from: bigint; to: bigint }) {
  return { partition, from: String(from), to: String(to) }
}
