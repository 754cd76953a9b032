import { verifyStream } from '#src/cli/proof.ts'
import { startInspector } from '#src/engine/kafka/inspector.ts'
import type { Header, SourceRecord } from '#src/engine/record.ts'
import { loadConfig } from '#src/settings/config.ts'
import { addedText, openDeadLetter } from '../support/dead-letters.ts'
import type { World } from '../support/faults/world.ts'
import { differences } from '../support/model.ts'
import type { Order } from '../support/order.ts'
import { orderStream } from '../support/streams.ts'
import { readHistory } from './history.ts'
import { type InputLog, readInput } from './input-log.ts'
import type { Verdicts } from './invariants.ts'
import type { Load } from './load.ts'

export interface Outcome {
  readonly records: number
  readonly orders: number
  readonly deadLetters: number
  /** Orders or dead letters that are not where they must be. */
  readonly lost: number
  readonly doubleEffects: number
  readonly staleOverwrites: number
}

const PAGE = 1_000

/** Holds what there is in the end against a model of the input. Everything is at rest. */
export async function checkOutcome(world: World, load: Load, verdicts: Verdicts): Promise<Outcome> {
  const connection = { brokers: [world.kafka.brokers], security: {}, extra: {} }
  await using inspector = await startInspector({ connection, groupId: world.groupId })
  const input = await readInput(inspector, world.topic, load, verdicts)
  const ordersLost = await checkOrders(world, load, input, verdicts)
  const lettersLost = await checkDeadLetters(inspector.read(world.dlqTopic), input, verdicts)
  const history = await readHistory(world)
  verdicts.checked('I4', history.writes)
  for (const what of history.backwards) verdicts.violated('I4', what)
  verdicts.checked('I10', history.writes)
  for (const id of history.repeated) verdicts.violated('I10', `the record ${id} was written more than once`)
  await checkBooks(world, input, history.writes, verdicts)
  return {
    records: input.records,
    orders: input.newest.size,
    deadLetters: input.invalid.size,
    lost: ordersLost + lettersLost,
    doubleEffects: history.repeated.length,
    staleOverwrites: history.backwards.length,
  }
}

/** @returns how many orders are missing, or older than they must be */
async function checkOrders(world: World, load: Load, input: InputLog, verdicts: Verdicts): Promise<number> {
  const [count] = await world.query<{ orders: string }>('SELECT count(*) AS orders FROM orders')
  if (Number(count?.orders) > input.newest.size)
    verdicts.violated('I2', `${count?.orders} orders are stored, ${input.newest.size} were produced`)
  verdicts.checked('I2', Number(count?.orders))
  let lost = 0
  let page = new Map<string, Order>()

  async function checkPage(): Promise<void> {
    const uids = [...page.keys()]
    for (const what of await differences(world, { orders: page }, uids)) verdicts.violated('I3', what)
    const rows = await world.query<{ uid: string; partition: number; offset: string }>(
      `SELECT order_uid AS uid, source_partition AS partition, source_offset AS offset FROM orders WHERE order_uid = ANY($1)`,
      [uids],
    )
    const stored = new Map(rows.map(row => [row.uid, `${row.partition}-${row.offset}`]))
    for (const uid of uids) {
      const newest = input.newest.get(uid)
      const wanted = `${newest?.partition}-${newest?.offset}`
      if (stored.get(uid) === wanted) continue
      lost++
      verdicts.violated(stored.has(uid) ? 'I3' : 'I1', `order ${uid} comes from ${stored.get(uid)}, not from ${wanted}`)
    }
    for (const invariant of ['I1', 'I3', 'I5'] as const) verdicts.checked(invariant, uids.length)
    page = new Map()
  }

  // The generator makes the records again, so that the run need not keep them.
  const generator = load.again()
  for (let sequence = 0; sequence < load.sent.length; sequence++) {
    const { uid, value } = generator.next()
    if (uid === null || value === null || input.newest.get(uid)?.sequence !== sequence) continue
    page.set(uid, JSON.parse(value.toString()) as Order)
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
async function checkBooks(world: World, input: InputLog, writes: number, verdicts: Verdicts): Promise<void> {
  const config = loadConfig({
    KAFKA_BROKERS: world.kafka.brokers,
    KAFKA_TOPIC: world.topic,
    KAFKA_DLQ_TOPIC: world.dlqTopic,
    KAFKA_GROUP_ID: world.groupId,
    DATABASE_URL: world.postgres.url,
  })
  const proof = await verifyStream(config, orderStream(config))
  for (const { partition, offset, what } of proof.findings)
    verdicts.violated('I5', `verify: partition ${partition ?? '?'}, offset ${offset ?? '?'}: ${what}`)
  for (const { what, why } of proof.unasked) verdicts.violated('I5', `verify could not ask for ${what}: ${why}`)
  const { totals } = proof
  verdicts.checked('I10', proof.partitions.length)
  if (totals.written !== writes)
    verdicts.violated('I10', `the ledger counts ${totals.written} written records, the tables saw ${writes}`)
  if (totals.records !== input.records)
    verdicts.violated('I10', `the ledger counts ${totals.records} records, the topic holds ${input.records}`)
  if (totals.dead_lettered !== input.invalid.size)
    verdicts.violated('I10', `the ledger counts ${totals.dead_lettered} dead letters, not ${input.invalid.size}`)
  for (const { partition, nextOffset } of proof.partitions) {
    const end = input.ends.get(partition)
    if (end !== nextOffset) verdicts.violated('I1', `partition ${partition} is settled up to ${nextOffset}, not ${end}`)
  }
}
