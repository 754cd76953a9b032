import { grouped } from '../engine/grouped.ts'
import type { Checkpoint } from '../engine/postgres/proof-checkpoint.ts'
import type { DeepProof } from '../engine/proof/deep-proof.ts'
import { visible } from '../engine/visible.ts'
import { note, paint, print, table } from './output.ts'
import { startProgress } from './progress.ts'
import type { Verification } from './proof.ts'
import type { OnDeepRead } from './proof-deep.ts'
import { plural } from './words.ts'

const COLUMNS = [
  ...(['records', 'written', 'inserted', 'superseded', 'stale', 'duplicate'] as const),
  ...(['dead_lettered', 'gaps', 'expired', 'skipped'] as const),
]

/** The table of partitions on stdout; everything else on stderr. @param several with a line that names the stream */
export function showProof(proof: Verification, several = false): void {
  const { findings, unasked, skipped, totals, unconsumed } = proof
  if (several) note(paint('bold', `stream ${proof.stream}`))
  print(
    table(
      ['partition', 'from', 'next', 'committed', ...COLUMNS],
      proof.partitions.map(sums => [
        String(sums.partition),
        String(sums.firstOffset),
        String(sums.nextOffset),
        String(proof.committed.get(sums.partition) ?? '-'),
        ...COLUMNS.map(column => grouped(sums[column])),
      ]),
    ),
  )
  for (const { partition, from, to } of skipped) {
    note(`partition ${partition}: ${to < from ? `moved back from ${from} to ${to}` : `skipped [${from}, ${to})`}`)
  }
  if (unconsumed.length > 0 && proof.partitions.length > 0) {
    note(`not consumed yet, so nothing is proven of them: partitions ${unconsumed.join(', ')}`)
  }
  if (proof.deep !== undefined) showDeep(proof.deep)
  for (const { partition, offset, what } of findings) {
    const where =
      partition === undefined ? '' : `partition ${partition}${offset === undefined ? '' : ` offset ${offset}`}: `
    note(`${paint('red', 'found')} ${where}${visible(what)}`)
  }
  for (const { what, why } of unasked) note(`${paint('yellow', 'could not ask')} for ${visible(`${what}: ${why}`)}`)
  if (proof.result === 'ok')
    note(`${paint('green', 'ok')}: stream ${proof.stream}, ${plural(totals.records, 'record')}, each accounted for`)
  if (proof.result === 'ok' && !proof.checkpointLeft) {
    note('no checkpoint was left: the ledger was merged at the same time, or this user of the database may not write')
  }
  if (proof.from !== undefined) {
    const { provenAt, fullAt } = proof.from
    note(
      `went on from the proof of ${provenAt.toISOString()}; everything was last read at ${fullAt.toISOString()}: "--full" does so now`,
    )
  }
}

/** How far a deep proof has read, and how fast. */
export function showReading(silent: boolean): { readonly update: OnDeepRead; stop(): void } {
  const progress = startProgress({ label: 'read again', silent })
  const startedMs = performance.now()
  return {
    update({ done, total }) {
      const rate = Math.round(done / Math.max(0.001, (performance.now() - startedMs) / 1000))
      progress.update({ done, total, text: `${grouped(rate)}/s` })
    },
    stop: () => progress.stop(),
  }
}

function showDeep({ records, compared, edited, elsewhere, unknown, erased }: DeepProof): void {
  note(`read again: ${plural(records, 'record')}; compared with rows: ${plural(compared, 'value')}`)
  if (edited > 0) note(`redriven with another value than the record's own: ${plural(edited, 'value')}`)
  if (erased > 0) note(`removed on purpose: ${plural(erased, 'value')}`)
  if (elsewhere > 0) note(`from records that are not in what was read: ${plural(elsewhere, 'value')}`)
  if (unknown > 0)
    note(`${grouped(unknown)} could not be compared: the record that would decide was purged, compacted or removed`)
}

/** One JSON object: names as the columns are named, offsets as text. */
export function proofJson(proof: Verification): object {
  return {
    verify: proof.result,
    stream: proof.stream,
    topic: proof.topic,
    group_id: proof.groupId,
    kind: proof.from === undefined ? 'full' : 'checkpoint',
    checkpoint: proof.from === undefined ? null : checkpointJson(proof.from),
    checkpoint_left: proof.checkpointLeft,
    partitions: proof.partitions.map(({ firstOffset, nextOffset, accountedFrom: _from, topicId: _id, ...sums }) => ({
      ...sums,
      first_offset: String(firstOffset),
      next_offset: String(nextOffset),
      committed: proof.committed.get(sums.partition)?.toString() ?? null,
    })),
    unconsumed: proof.unconsumed,
    totals: proof.totals,
    rows: { ...proof.rows.tables, dead_letters: proof.rows.deadLetters },
    expired: proof.expired.map(rangeJson),
    skipped: proof.skipped.map(rangeJson),
    findings: proof.findings.map(({ partition, offset, what }) => ({
      partition: partition ?? null,
      offset: offset?.toString() ?? null,
      what,
    })),
    unasked: proof.unasked,
    ...(proof.deep === undefined ? {} : { deep: deepJson(proof.deep) }),
  }
}

function checkpointJson({ provenAt, fullAt }: Checkpoint): object {
  return { proven_at: provenAt.toISOString(), full_at: fullAt.toISOString() }
}

function deepJson({ findings: _, ...counts }: DeepProof): object {
  return counts
}

function rangeJson({ partition, from, to }: { partition: number; from: bigint; to: bigint }) {
  return { partition, from: String(from), to: String(to) }
}
