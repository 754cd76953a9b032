import { UsageError } from '../engine/errors.ts'
import { grouped } from '../engine/grouped.ts'
import { type KafkaInspector, startInspector } from '../engine/kafka/inspector.ts'
import {
  type FormerTopic,
  formerTopicOf,
  type LeaveFormerTopic,
  leaveRowsInPages,
} from '../engine/postgres/former-topic.ts'
import {
  MOVE_PATIENCE_SECONDS,
  type Move,
  movePartition,
  moveState,
  requestMove,
  withdrawMove,
} from '../engine/postgres/moves.ts'
import { createPool } from '../engine/postgres/pool.ts'
import { formerTopic, partitionKey } from '../engine/record.ts'
import type { Stream } from '../engine/stream.ts'
import { leaveFormerTopic, waitingOfFormer } from '../inbox/postgres/former-topic.ts'
import type { Place } from './arguments.ts'
import { CommandFailed } from './failure.ts'
import { onInterrupt } from './interrupt.ts'
import { type ActingOptions, actingOperator } from './operator-name.ts'
import { note, print } from './output.ts'
import { loadSetup, oneStream } from './streams.ts'

interface SeekOptions extends ActingOptions {
  readonly stream?: string
  readonly partition: number
  readonly to: Place
  readonly because: string
  readonly json?: boolean
}

const LOOK_EVERY_MS = 250
/** Kafka notices that a consumer was killed when its session ends. */
const LOOKS_FOR_MEMBERS = 8

export async function seek({ stream: name, partition, to, because, as, json }: SeekOptions): Promise<void> {
  if (because.trim() === '') throw new UsageError('--because is empty: say why, the audit log keeps it')
  const setup = await loadSetup()
  const stream = oneStream(setup, name)
  const { topic, groupId } = stream
  await using inspector = await startInspector({ connection: setup.config.kafka, groupId })
  await requirePartition(inspector, topic, partition)
  const { offset, low } = await offsetOf(inspector, { topic, partition }, to)

  await using parts = new AsyncDisposableStack()
  const pool = createPool({ ...setup.config.postgres, max: 1, name: 'seek' })
  parts.defer(() => pool.end())
  const topicId = await inspector.topicId(topic)
  const move = { stream: stream.name, topic, partition, groupId, to: offset, low, topicId }
  const by = actingOperator(setup.config, { as, because })
  const former = await formerTopicOf(pool, move, { offset, topicId })
  if (former !== undefined) await leave(pool, stream, former)
  const { members } = await inspector.group(topic)
  const mover = { inspector, pool, move, by, leave: leaveFormerTopic(stream) }
  const from = members > 0 ? await askOwner(mover) : await moveAlone(mover)
  if (former !== undefined) await tellOfLetters(pool, stream.name, former)
  if (json) {
    print(JSON.stringify({ stream: stream.name, partition, from: from?.toString() ?? null, to: String(offset) }))
  } else print(`partition ${partition}: from ${from ?? 'nowhere'} to ${offset}`)
}

type Pool = ReturnType<typeof createPool>
type By = ReturnType<typeof actingOperator>

/** Who moves what, and why. */
interface Mover {
  readonly inspector: KafkaInspector
  readonly pool: Pool
  readonly move: Move
  readonly by: By
  readonly leave: LeaveFormerTopic
}

/** Most of the work of a move into a topic that was created again, before anything waits for it. */
async function leave(pool: Pool, stream: Stream, former: FormerTopic): Promise<void> {
  const { topic, partition, topicId } = former
  const values = await leaveRowsInPages(pool, stream.plan, former)
  note(
    `${grouped(values)} values of partition ${partition} were read of a topic that was deleted (id ${topicId}): they keep their place as one of ` +
      `${formerTopic(topic, topicId)}, and with records of the topic ${topic} that there is now the later timestamp wins`,
  )
}

async function tellOfLetters(pool: Pool, stream: string, former: FormerTopic): Promise<void> {
  const waiting = await waitingOfFormer(pool, stream, former)
  if (waiting === 0) return
  note(
    `${grouped(waiting)} of its dead letters wait. Redrive or discard them soon ("holdfast dlq ls partition:${former.partition}"): a record that fails at the ` +
      'same offset of the topic that there is now takes the place of such a letter in the index',
  )
}

/** No process consumes the partition, so the command moves it itself. */
async function moveAlone({ inspector, pool, move, by, leave }: Mover): Promise<bigint | undefined> {
  const from = await movePartition(pool, move, by, leave)
  // Progress is the truth; Kafka's offset follows it, so that lag and proof agree.
  await inspector.commit([{ topic: move.topic, partition: move.partition, nextOffset: move.to }])
  return from
}

/**
 * The process that has the partition lets go of it first, and moves it then. Interrupted or too late, the request is taken back; where
 * the last member has left meanwhile, the command moves it itself.
 * @throws CommandFailed when no process carried it out
 */
async function askOwner(mover: Mover): Promise<bigint | undefined> {
  const { inspector, pool, move, by } = mover
  using interrupt = onInterrupt()
  const id = await requestMove(pool, move, by)
  note('the service runs: it is asked to let go of the partition and to move it')
  let members = 1
  for (let looks = 1; members > 0 && !interrupt.signal.aborted; looks++) {
    const state = await moveState(pool, id)
    if (state.kind === 'moved') return state.from
    if (state.kind === 'expired') break
    await new Promise<void>(resolve => setTimeout(resolve, LOOK_EVERY_MS))
    if (looks % LOOKS_FOR_MEMBERS === 0) members = (await inspector.group(move.topic)).members
  }
  await withdrawMove(pool, id)
  // It may have been carried out just before.
  const last = await moveState(pool, id)
  if (last.kind === 'moved') return last.from
  if (members === 0) return await moveAlone(mover)
  throw notMoved(move, interrupt.signal.aborted)
}

function notMoved(move: Move, interrupted: boolean): CommandFailed {
  const where = partitionKey(move)
  if (interrupted) return new CommandFailed(`interrupted: ${where} stays where it is`)
  return new CommandFailed(
    `${where} was not moved: no process of the group ${move.groupId} carried it out within ${MOVE_PATIENCE_SECONDS} s. Either none has the partition ` +
      'just now, or those that run are of an earlier version: look at the log of the service, or stop it and try again',
  )
}

/** @throws UsageError when the partition does not hold that */
async function offsetOf(
  inspector: KafkaInspector,
  at: { readonly topic: string; readonly partition: number },
  to: Place,
): Promise<{ readonly offset: bigint; readonly low: bigint }> {
  const { low, high } = await inspector.watermarks(at)
  if (typeof to === 'object') {
    const found = await inspector.offsetAt(at, to.timestampMs)
    if (found !== undefined) return { offset: found, low }
    throw new UsageError(
      `partition ${at.partition} holds no record of ${to.text} or later: it ends at offset ${high}; to go to its end: --to latest`,
    )
  }
  const offset = to === 'earliest' ? low : to === 'latest' ? high : to
  if (offset < low || offset > high) {
    throw new UsageError(`partition ${at.partition} holds the offsets ${low} to ${high}; ${offset} is not among them`)
  }
  return { offset, low }
}

/** @throws UsageError when the partition does not exist */
async function requirePartition(inspector: KafkaInspector, topic: string, partition: number): Promise<void> {
  const known = await inspector.partitions(topic)
  if (known.length === 0) throw new UsageError(`there is no topic ${topic}: check the name, and KAFKA_BROKERS`)
  if (!known.some(at => at.partition === partition)) {
    throw new UsageError(`${topic} has no partition ${partition}: it has ${known.length}, counted from 0`)
  }
}
