import type { Config } from '../config.ts'
import { HEADER, headerText } from '../core/dead-letter.ts'
import { type KafkaInspector, startInspector } from '../kafka/inspector.ts'
import { createPool } from '../postgres/pool.ts'
import { deadLetterIds, type Finding, type Proof, readProof } from '../postgres/proof.ts'

/** The whole proof: the database's books, and that Kafka agrees with them. */
export interface Verification extends Proof {
  readonly result: 'ok' | 'failed'
  /** What the broker holds as committed, by partition. */
  readonly committed: ReadonlyMap<number, bigint>
}

/** The checks read whole tables. */
const STATEMENT_TIMEOUT_MS = 10 * 60_000

/**
 * Proves that each consumed offset is accounted for (docs: README, "The proof"). Joins no group and writes nothing, so it
 * may run beside the service.
 * @throws StoreUnavailableError, StoreMisconfiguredError, BrokerUnavailableError
 */
export async function verifyStream(config: Pick<Config, 'kafka' | 'postgres'>): Promise<Verification> {
  const { kafka, postgres } = config
  await using inspector = await startInspector({ connection: kafka, groupId: kafka.groupId })
  await using parts = new AsyncDisposableStack()
  const pool = createPool({ url: postgres.url, max: 2, statementTimeoutMs: STATEMENT_TIMEOUT_MS, name: 'verify' })
  parts.defer(() => pool.end())

  // First Kafka's commits, then the books: while the service runs, the books may only be ahead.
  const partitions = await inspector.partitions(kafka.topic)
  const topicId = await inspector.topicId(kafka.topic)
  const committed = new Map((await inspector.committed(partitions)).map(at => [at.partition, at.nextOffset]))
  const proof = await readProof(pool, kafka.topic, kafka.groupId)
  const findings = [
    ...proof.findings,
    ...commitsAhead(proof, committed),
    ...inAnotherTopic(proof, topicId),
    ...(await missingDeadLetters(inspector, kafka.dlqTopic, deadLetterIds(pool, kafka.topic))),
  ]
  return { ...proof, findings, committed, result: findings.length === 0 ? 'ok' : 'failed' }
}

function commitsAhead(proof: Proof, committed: ReadonlyMap<number, bigint>): Finding[] {
  const progress = new Map(proof.partitions.map(({ partition, nextOffset }) => [partition, nextOffset]))
  return [...committed].flatMap(([partition, offset]) => {
    const settled = progress.get(partition)
    if (settled !== undefined && offset <= settled) return []
    return [{ partition, offset, what: `Kafka holds ${offset} as committed, but progress is ${settled ?? 'unknown'}` }]
  })
}

/** Progress in a topic that is not there any more says nothing about the one that has its name now. */
function inAnotherTopic(proof: Proof, topicId: string | undefined): Finding[] {
  if (topicId === undefined) return []
  return proof.partitions.flatMap(({ partition, nextOffset, topicId: counted }) => {
    if (counted === undefined || counted === topicId) return []
    const what = `progress counts in a topic that was deleted (id ${counted}); what has its name now is another one (id ${topicId})`
    return [{ partition, offset: nextOffset, what }]
  })
}

/**
 * Dead letters of the index that the topic does not hold. Where retention has taken the beginning of a partition, the
 * index is the only witness left: those of that partition are not missed.
 */
async function missingDeadLetters(
  inspector: KafkaInspector,
  topic: string,
  indexed: AsyncIterable<string>,
): Promise<Finding[]> {
  const wanted = new Set(await Array.fromAsync(indexed))
  if (wanted.size === 0) return []
  const partitions = await inspector.partitions(topic)
  if (partitions.length === 0) {
    return [{ partition: undefined, offset: undefined, what: `the dead-letter topic ${topic} does not exist` }]
  }
  const shortened = new Set<number>()
  for (const partition of partitions) {
    if ((await inspector.watermarks(partition)).low > 0n) shortened.add(partition.partition)
  }
  for await (const record of inspector.read(topic)) wanted.delete(headerText(record, HEADER.id) ?? '')
  return [...wanted].flatMap(id => {
    const [, partition = '', offset = ''] = /-(\d+)-(\d+)$/.exec(id) ?? []
    if (shortened.has(Number(partition) % partitions.length)) return []
    const what = `the dead letter ${id} is in the index, but not in the topic ${topic}`
    return [{ partition: Number(partition), offset: BigInt(offset), what }]
  })
}
