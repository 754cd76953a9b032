import { StreamError } from '../engine/errors.ts'
import { type KafkaInspector, startInspector } from '../engine/kafka/inspector.ts'
import { topicSight } from '../engine/kafka/topic-sight.ts'
import type { Watermarks } from '../engine/ports.ts'
import { createPool } from '../engine/postgres/pool.ts'
import { type Finding, type Proof, prove } from '../engine/postgres/proof.ts'
import { type DlqMark, leaveCheckpoint } from '../engine/postgres/proof-checkpoint.ts'
import type { DeepProof } from '../engine/proof/deep-proof.ts'
import type { TopicPartition } from '../engine/record.ts'
import type { Stream } from '../engine/stream.ts'
import type { Config } from '../settings/config.ts'
import { commitsAhead, inAnotherTopic, outsideOfTopic } from './proof-broker.ts'
import { type OnDeepRead, proveDeep } from './proof-deep.ts'
import { compareDeadLetters, notShown } from './proof-letters.ts'

/** A part of the proof that could not be checked: it neither holds nor fails. */
export interface Unasked {
  readonly what: string
  readonly why: string
}

/** The whole proof of a stream: the checks of the database, and of its agreement with Kafka. */
export interface Verification extends Proof {
  readonly stream: string
  /** `could_not_ask`: no finding, but a part of the proof could not be checked. */
  readonly result: 'ok' | 'failed' | 'could_not_ask'
  readonly unasked: readonly Unasked[]
  /** What the broker holds as committed, by partition. */
  readonly committed: ReadonlyMap<number, bigint>
  /** Partitions of the topic without progress of the group: nothing of them was consumed, and nothing is proven. */
  readonly unconsumed: readonly number[]
  /** What the deep proof found, where it was asked for and could be done. */
  readonly deep?: DeepProof | undefined
  /** Whether the next proof can go on from here. */
  readonly checkpointLeft: boolean
}

/** The checks read whole tables. */
const STATEMENT_TIMEOUT_MS = 10 * 60_000

/**
 * Proves that each consumed offset is accounted for (docs/proof.md). Joins no group and writes nothing but its checkpoint, so it
 * may run beside the service. What Kafka does not answer is listed as unasked.
 * @param options.full read everything, and not only from the checkpoint that an earlier proof has left
 * @param options.deep read the topic again, too, and compare its records with the rows; called as it proceeds. It is a full proof
 * @throws StoreUnavailableError, StoreMisconfiguredError: without the database nothing can be proven
 */
export async function verifyStream(
  config: Pick<Config, 'kafka' | 'postgres'>,
  stream: Stream,
  options: { readonly full?: boolean; readonly deep?: OnDeepRead } = {},
): Promise<Verification> {
  const { kafka, postgres } = config
  const { topic: name, dlqTopic, groupId } = stream
  const { full = options.deep !== undefined } = options
  await using parts = new AsyncDisposableStack()
  const pool = createPool({ ...postgres, max: 2, statementTimeoutMs: STATEMENT_TIMEOUT_MS, name: 'verify' })
  parts.defer(() => pool.end())
  const unasked: Unasked[] = []
  const asking = askingInto(unasked)

  const inspector = await asking('Kafka', () => startInspector({ connection: kafka, groupId }))
  if (inspector !== undefined) parts.use(inspector)
  // First Kafka's commits, then the database, then the watermarks: while the service runs, each may only be ahead of the
  // one before it.
  const topic = inspector === undefined ? undefined : await askForTopic(inspector, kafka, stream, asking)
  const proof = await prove(pool, stream, { full })
  if (inspector === undefined || topic === undefined) return conclude(stream, proof, proof.findings, unasked)

  const ends = await endsOf(inspector, topic.partitions, asking)
  const findings = [
    ...proof.findings,
    ...commitsAhead(proof, topic.committed),
    ...inAnotherTopic(proof, topic.id),
    ...outsideOfTopic(proof, topic.id, ends),
  ]
  for (const { partition } of proof.partitions) {
    if (topic.partitions.some(known => known.partition === partition)) continue
    unasked.push({
      what: `partition ${partition}`,
      why: `on this cluster the topic ${name} has no such partition`,
    })
  }
  const letters = await asking(`the dead-letter topic ${dlqTopic}`, () =>
    compareDeadLetters(inspector, kafka, pool, stream, proof.from),
  )
  const { deep: onRead } = options
  const remade = inAnotherTopic(proof, topic.id).length > 0
  const deep =
    onRead === undefined || remade
      ? undefined
      : await asking(`the records of the topic ${name}`, () => proveDeep({ kafka, stream, pool, proof, ends, onRead }))
  const all = [...findings, ...(letters?.findings ?? []), ...(deep?.findings ?? [])]
  const concluded = conclude(stream, proof, all, unasked)
  const checkpointLeft = isProven(concluded) && (await leave(pool, stream, proof, letters?.mark))
  return { ...concluded, ...standing(proof, topic), deep, checkpointLeft }
}

/** What expired is a finding for good, and no reason to read everything for good. */
function isProven({ findings, expired, unasked }: Verification): boolean {
  return unasked.length === 0 && findings.length === expired.length
}

/** A user who may only read leaves none. */
async function leave(
  pool: ReturnType<typeof createPool>,
  stream: Stream,
  proof: Proof,
  dlq: DlqMark | undefined,
): Promise<boolean> {
  try {
    return await leaveCheckpoint(pool, stream, proof, dlq)
  } catch (error) {
    if (!(error instanceof StreamError)) throw error
    return false
  }
}

type Asking = <R>(what: string, question: () => Promise<R>) => Promise<R | undefined>

/** A question that cannot be answered is listed with its reason; the answer is `undefined` then. */
function askingInto(unasked: Unasked[]): Asking {
  return async (what, question) => {
    try {
      return await question()
    } catch (error) {
      if (!(error instanceof StreamError)) throw error
      unasked.push({ what, why: error.message })
      return undefined
    }
  }
}

interface AskedTopic {
  readonly partitions: readonly TopicPartition[]
  readonly id: string | undefined
  readonly committed: ReadonlyMap<number, bigint>
}

async function askForTopic(
  inspector: KafkaInspector,
  kafka: Config['kafka'],
  { topic, groupId }: Stream,
  asking: Asking,
): Promise<AskedTopic | undefined> {
  const partitions = await asking(`the topic ${topic}`, async () => {
    const found = await inspector.partitions(topic)
    if (found.length === 0) throw notShown(kafka, topic, await topicSight(kafka, topic))
    return found
  })
  if (partitions === undefined) return undefined
  const id = await asking(`the id of the topic ${topic}`, () => inspector.topicId(topic))
  const positions = await asking(`the committed offsets of the group ${groupId}`, async () => {
    // Names a missing right, where the question after it would only time out.
    await inspector.group(topic)
    return await inspector.committed(partitions)
  })
  return { partitions, id, committed: new Map((positions ?? []).map(at => [at.partition, at.nextOffset])) }
}

async function endsOf(
  inspector: KafkaInspector,
  partitions: readonly TopicPartition[],
  asking: Asking,
): Promise<Map<number, Watermarks>> {
  const ends = new Map<number, Watermarks>()
  for (const partition of partitions) {
    const marks = await asking(`the ends of partition ${partition.partition}`, () => inspector.watermarks(partition))
    if (marks !== undefined) ends.set(partition.partition, marks)
  }
  return ends
}

function conclude(
  { name }: Stream,
  proof: Proof,
  findings: readonly Finding[],
  unasked: readonly Unasked[],
): Verification {
  const result = findings.length > 0 ? 'failed' : unasked.length > 0 ? 'could_not_ask' : 'ok'
  return {
    stream: name,
    ...proof,
    findings,
    unasked,
    result,
    committed: new Map(),
    unconsumed: [],
    checkpointLeft: false,
  }
}

function standing(proof: Proof, { partitions, committed }: AskedTopic): Pick<Verification, 'committed' | 'unconsumed'> {
  const consumed = new Set(proof.partitions.map(({ partition }) => partition))
  const unconsumed = partitions.map(({ partition }) => partition).filter(partition => !consumed.has(partition))
  return { committed, unconsumed }
}
