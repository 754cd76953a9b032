import { verifyStream } from '#src/cli/proof.ts'
import { startInspector } from '#src/engine/kafka/inspector.ts'
import type { Header, SourceRecord } from '#src/engine/record.ts'
import type { Stream } from '#src/engine/stream.ts'
import { addedText, openDeadLetter } from '../support/dead-letters.ts'
import type { World } from '../support/faults/world.ts'
import { COMMIT_LOG, commitsThatGoBack } from './commit-log.ts'
import { readHistory } from './history.ts'
import { type InputLog, readInput } from './input-log.ts'
import type { Verdicts } from './invariants.ts'
import type { Load } from './load.ts'
import { underChaos } from './streams.ts'

export interface Outcome {
  readonly records: number
  /** Keys that have a valid record. */
  readonly values: number
  readonly deadLetters: number
  /** Values or dead letters that are not where they must be. */
  readonly lost: number
  readonly doubleEffects: number
  readonly staleOverwrites: number
}

const PAGE = 1_000

/** Holds what there is of a stream in the end against a model of its input. Everything is at rest. */
export async function checkOutcome(world: World, stream: Stream, load: Load, verdicts: Verdicts): Promise<Outcome> {
  await using inspector = await startInspector({ connection: world.config.kafka, groupId: stream.groupId })
  const input = await readInput(inspector, stream.topic, load, verdicts)
  const valuesLost = await checkValues(world, stream, load, input, verdicts)
  const lettersLost = await checkDeadLetters(inspector.read(stream.dlqTopic), input, verdicts)
  const history = await readHistory(world, stream)
  verdicts.checked('I4', history.writes)
  for (const what of history.backwards) verdicts.violated('I4', what)
  verdicts.checked('I10', history.writes)
  for (const id of history.repeated)
    verdicts.violated('I10', `the record ${stream.topic}-${id} was written more than once`)
  const { commits, backwards } = await commitsThatGoBack(inspector.read(COMMIT_LOG), stream)
  verdicts.checked('I7', commits)
  for (const what of backwards) verdicts.violated('I7', what)
  await checkLedger(world, stream, input, history.writes, verdicts)
  return {
    records: input.records,
    values: input.newest.size,
    deadLetters: input.invalid.size,
    lost: valuesLost + lettersLost,
    doubleEffects: history.repeated.length,
    staleOverwrites: history.backwards.length,
  }
}

/** @returns how many values are missing, or older than they must be */
async function checkValues(
  world: World,
  { name, plan }: Stream,
  load: Load,
  input: InputLog,
  verdicts: Verdicts,
): Promise<number> {
  const { differences } = underChaos(name)
  const { root, key: keyPlan } = plan
  const [count] = await world.query<{ values: string }>(`SELECT count(*) AS values FROM ${root.sqlName}`)
  if (Number(count?.values) > input.newest.size)
    verdicts.violated('I2', `${count?.values} ${name} are stored, ${input.newest.size} were produced`)
  verdicts.checked('I2', Number(count?.values))
  let lost = 0
  const page = new Map<string, unknown>()

  async function checkPage(): Promise<void> {
    const keys = [...page.keys()]
    for (const what of await differences(world, page)) verdicts.violated('I3', `${name}: ${what}`)
    const rows = await world.query<{ key: string; partition: number; offset: string }>(
      `SELECT ${keyPlan.column} AS key, source_partition AS partition, source_offset AS offset
       FROM ${root.sqlName} WHERE ${keyPlan.column} = ANY($1)`,
      [keys],
    )
    const stored = new Map(rows.map(row => [row.key, `${row.partition}-${row.offset}`]))
    for (const key of keys) {
      const newest = input.newest.get(key)
      const wanted = `${newest?.partition}-${newest?.offset}`
      if (stored.get(key) === wanted) continue
      lost++
      verdicts.violated(
        stored.has(key) ? 'I3' : 'I1',
        `${name} ${key} comes from ${stored.get(key)}, not from ${wanted}`,
      )
    }
    for (const invariant of ['I1', 'I3', 'I5'] as const) verdicts.checked(invariant, keys.length)
    page.clear()
  }

  // The generator makes the records again, so that the run need not keep them.
  const generator = load.again()
  for (let sequence = 0; sequence < load.sent.length; sequence++) {
    const { key, value } = generator.next()
    const text = key.toString()
    if (value === null || input.newest.get(text)?.sequence !== sequence) continue
    page.set(text, JSON.parse(value.toString()))
    if (page.size === PAGE) await checkPage()
  }
  await checkPage()
  return lost
}

/** @returns how many invalid records are missing in the DLQ topic */
async function checkDeadLetters(
  letters: AsyncIterable<SourceRecord>,
  input: InputLog,
  verdicts: Verdicts,
): Promise<number> {
  const found = new Set<string>()
  for await (const record of letters) {
    const letter = openDeadLetter(record)
    const id = addedText(letter, 'id') ?? 'without id'
    const source = input.invalid.get(id)
    verdicts.checked('I8')
    verdicts.checked('I9')
    if (source === undefined) {
      verdicts.violated('I8', `${id} is a dead letter (${addedText(letter, 'reason')}), and its record is valid`)
      continue
    }
    found.add(id)
    if (!sameBytes(letter.original, source)) verdicts.violated('I9', `the dead letter ${id} is not its record`)
  }
  const missing = [...input.invalid.keys()].filter(id => !found.has(id))
  for (const id of missing) verdicts.violated('I1', `the invalid record ${id} is not in the DLQ topic`)
  return missing.length
}

type Bytes = Pick<SourceRecord, 'key' | 'value' | 'headers'>

function sameBytes(one: Bytes, other: Bytes): boolean {
  const headers = (list: readonly Header[]) => list.map(([name, value]) => `${name}=${value.toString('hex')}`).join()
  return same(one.key, other.key) && same(one.value, other.value) && headers(one.headers) === headers(other.headers)
}

function same(one: Buffer | null, other: Buffer | null): boolean {
  return one === null || other === null ? one === other : one.equals(other)
}

/** The product's own proof; and its ledger against what we counted. */
async function checkLedger(
  { config }: World,
  stream: Stream,
  input: InputLog,
  writes: number,
  verdicts: Verdicts,
): Promise<void> {
  const { name } = stream
  const proof = await verifyStream(config, stream, { full: true })
  for (const { partition, offset, what } of proof.findings)
    verdicts.violated('I5', `verify ${name}: partition ${partition ?? '?'}, offset ${offset ?? '?'}: ${what}`)
  for (const { what, why } of proof.unasked) verdicts.violated('I5', `verify ${name} could not ask for ${what}: ${why}`)
  const { totals } = proof
  verdicts.checked('I10', proof.partitions.length)
  if (totals.written !== writes)
    verdicts.violated('I10', `the ledger of ${name} counts ${totals.written} written records, the tables saw ${writes}`)
  if (totals.records !== input.records)
    verdicts.violated('I10', `the ledger of ${name} counts ${totals.records} records, the topic holds ${input.records}`)
  if (totals.dead_lettered !== input.invalid.size)
    verdicts.violated(
      'I10',
      `the ledger of ${name} counts ${totals.dead_lettered} dead letters, not ${input.invalid.size}`,
    )
  for (const { partition, nextOffset } of proof.partitions) {
    const end = input.ends.get(partition)
    if (end !== nextOffset)
      verdicts.violated('I1', `partition ${partition} of ${name} is settled up to ${nextOffset}, not ${end}`)
  }
}
