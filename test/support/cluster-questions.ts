/** What is asked of a cluster of brokers in Kafka's own protocol: which of them leads, coordinates or controls, and what moves where. */
import { askBroker, int8, int16, int32, text } from './kafka-protocol.ts'

export interface PartitionSight {
  readonly topic: string
  readonly partition: number
  /** Id of a broker; -1: none. */
  readonly leader: number
  readonly replicas: readonly number[]
  /** Those of them that are in sync. */
  readonly isr: readonly number[]
}

/** Metadata, version 1. */
export async function askTopics(broker: string, topics: readonly string[]): Promise<PartitionSight[]> {
  const answer = reader(await askBroker(broker, request(3, 1, int32(topics.length), ...topics.map(text))))
  answer.list(() => [answer.int32(), answer.text(), answer.int32(), answer.text()])
  answer.int32() // some broker, not the controller
  return answer
    .list(() => {
      answer.int16()
      const topic = answer.text()
      answer.int8()
      return answer.list((): PartitionSight => {
        answer.int16()
        const [partition, leader] = [answer.int32(), answer.int32()]
        return { topic, partition, leader, replicas: answer.list(answer.int32), isr: answer.list(answer.int32) }
      })
    })
    .flat()
    .sort((a, b) => a.topic.localeCompare(b.topic) || a.partition - b.partition)
}

/** FindCoordinator, version 1. The first question of all makes the topic of the groups' offsets. @returns -1: none yet */
export async function askCoordinator(broker: string, groupId: string): Promise<number> {
  const answer = reader(await askBroker(broker, request(10, 1, text(groupId), int8(0))))
  answer.int32()
  answer.int16()
  answer.text()
  return answer.int32()
}

/** DescribeQuorum, version 0, which every broker passes on. @returns the id of the active controller */
export async function askController(broker: string): Promise<number> {
  // Compact lists and texts give their length plus one, and each part ends with its tags, of which there are none.
  const topic = '__cluster_metadata'
  const partitions = compactList(Buffer.concat([int32(0), TAGS]))
  const topics = compactList(Buffer.concat([compactText(topic), partitions, TAGS]))
  const answer = await askBroker(broker, request(55, 0, TAGS, topics, TAGS))
  // Correlation id, tags, error, then the same lists; in the partition its index and error come first.
  return answer.readInt32BE(4 + 1 + 2 + 1 + 1 + topic.length + 1 + 4 + 2)
}

/**
 * AlterPartitionReassignments, version 0: begins to move the partitions of a topic, and waits for no end of it.
 * @param replicas of each partition the brokers that shall hold it; the first one leads
 */
export async function reassign(broker: string, topic: string, replicas: readonly (readonly number[])[]): Promise<void> {
  const partitions = replicas.map((ids, i) => Buffer.concat([int32(i), compactList(...ids.map(int32)), TAGS]))
  const topics = compactList(Buffer.concat([compactText(topic), compactList(...partitions), TAGS]))
  const answer = await askBroker(broker, request(45, 0, TAGS, int32(10_000), topics, TAGS))
  // Correlation id, tags, throttle time.
  const code = answer.readInt16BE(4 + 1 + 4)
  if (code !== 0) throw new Error(`the cluster does not move ${topic}: code ${code}`)
}

const TAGS = int8(0)

/** Of less than 127 elements, or bytes: so that their number, plus one, is a byte. */
function compactList(...elements: readonly Buffer[]): Buffer {
  return Buffer.concat([int8(elements.length + 1), ...elements])
}

function compactText(value: string): Buffer {
  return Buffer.concat([int8(value.length + 1), Buffer.from(value)])
}

function request(apiKey: number, version: number, ...body: readonly Buffer[]): Buffer {
  return Buffer.concat([int16(apiKey), int16(version), int32(1), int16(-1), ...body])
}

/** Reads one value after the other, from behind the correlation id on. */
function reader(answer: Buffer) {
  let at = 4
  function next(size: number): number {
    at += size
    return at - size
  }
  const one = {
    int8: () => answer.readInt8(next(1)),
    int16: () => answer.readInt16BE(next(2)),
    int32: () => answer.readInt32BE(next(4)),
    /** Null is empty. */
    text() {
      const length = Math.max(0, one.int16())
      const from = next(length)
      return answer.toString('utf8', from, from + length)
    },
    list: <T>(read: () => T): T[] => Array.from({ length: one.int32() }, read),
  }
  return one
}
