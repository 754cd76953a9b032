import { UsageError } from '../engine/errors.ts'
import { type KafkaInspector, startInspector } from '../engine/kafka/inspector.ts'
import { movePartition } from '../engine/postgres/operator.ts'
import { createPool } from '../engine/postgres/pool.ts'
import { type ActingOptions, actingOperator } from './operator-name.ts'
import { print } from './output.ts'
import { loadSetup, oneStream } from './streams.ts'

interface SeekOptions extends ActingOptions {
  readonly stream?: string
  readonly partition: number
  readonly to: bigint | 'earliest' | 'latest'
  readonly because: string
  readonly json?: boolean
}

export async function seek({ stream: name, partition, to, because, as, json }: SeekOptions): Promise<void> {
  if (because.trim() === '') throw new UsageError('--because is empty: say why, the audit log keeps it')
  const setup = await loadSetup()
  const stream = oneStream(setup, name)
  const { topic, groupId } = stream
  await using inspector = await startInspector({ connection: setup.config.kafka, groupId })
  await requireMovable(inspector, topic, groupId, partition)
  const { low, high } = await inspector.watermarks({ topic, partition })
  const offset = to === 'earliest' ? low : to === 'latest' ? high : to
  if (offset < low || offset > high) {
    throw new UsageError(`partition ${partition} holds the offsets ${low} to ${high}; ${offset} is not among them`)
  }

  await using parts = new AsyncDisposableStack()
  const pool = createPool({ ...setup.config.postgres, max: 1, name: 'seek' })
  parts.defer(() => pool.end())
  const topicId = await inspector.topicId(topic)
  const move = { stream: stream.name, topic, partition, groupId, to: offset, low, topicId }
  const from = await movePartition(pool, move, actingOperator(setup.config, { as, because }))
  // Progress is the truth; Kafka's offset follows it, so that lag and proof agree.
  await inspector.commit([{ topic, partition, nextOffset: offset }])
  if (json) {
    print(JSON.stringify({ stream: stream.name, partition, from: from?.toString() ?? null, to: String(offset) }))
  } else print(`partition ${partition}: from ${from ?? 'nowhere'} to ${offset}`)
}

/** @throws UsageError when the partition does not exist, or a consumer of the group runs */
async function requireMovable(
  inspector: KafkaInspector,
  topic: string,
  groupId: string,
  partition: number,
): Promise<void> {
  const known = await inspector.partitions(topic)
  if (known.length === 0) throw new UsageError(`there is no topic ${topic}: check the name, and KAFKA_BROKERS`)
  if (!known.some(at => at.partition === partition)) {
    throw new UsageError(`${topic} has no partition ${partition}: it has ${known.length}, counted from 0`)
  }
  const { members } = await inspector.group(topic)
  if (members > 0) {
    throw new UsageError(
      `the service runs: the group ${groupId} has ${members} ${members === 1 ? 'member' : 'members'}; stop it first (and wait until the group has seen it leave)`,
    )
  }
}
