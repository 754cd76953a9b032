/** Follows one connection of a Kafka client from its beginning. */
export interface KafkaFilter {
  /** What the client sends. @returns what goes on to the server */
  request(chunk: Buffer): Buffer
  /** What the server sends. @returns what goes on to the client */
  reply(chunk: Buffer): Buffer
}

const METADATA = 3
/** OffsetCommit, JoinGroup, Heartbeat, LeaveGroup, SyncGroup. */
const OF_COORDINATOR: readonly number[] = [8, 11, 12, 13, 14]

/** What a group asks of its coordinator gets no answer; everything else does, as where the coordinator alone of several brokers hangs. */
export function createCoordinatorSilencer(): KafkaFilter {
  const requests = createFrames()
  return {
    request: chunk =>
      Buffer.concat(requests.take(chunk).filter(frame => !OF_COORDINATOR.includes(frame.readInt16BE(4)))),
    reply: chunk => chunk,
  }
}

/**
 * Takes all brokers out of a broker's answers about its cluster, as a lone broker gives them for a moment after it was frozen
 * beyond its session (https://github.com/confluentinc/librdkafka/issues/5301).
 */
export function createBrokerRemover(): KafkaFilter {
  const requests = createFrames()
  const replies = createFrames()
  /** Versions of the questions about the cluster, by correlation id. */
  const asked = new Map<number, number>()
  return {
    request(chunk) {
      for (const frame of requests.take(chunk)) {
        if (frame.readInt16BE(4) === METADATA) asked.set(frame.readInt32BE(8), frame.readInt16BE(6))
      }
      return chunk
    },
    reply(chunk) {
      return Buffer.concat(
        replies.take(chunk).map(frame => {
          const id = frame.readInt32BE(4)
          const version = asked.get(id)
          asked.delete(id)
          return version === undefined ? frame : withoutBrokers(frame, version)
        }),
      )
    },
  }
}

/** Length, correlation id, since version 9 an (empty) list of tags, since version 3 a throttle time; then the brokers. */
function withoutBrokers(frame: Buffer, version: number): Buffer {
  const flexible = version >= 9
  const start = 8 + (flexible ? 1 : 0) + (version >= 3 ? 4 : 0)
  let at = start
  const varint = () => {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = frame.readUInt8(at++)
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }
  const int16 = () => {
    at += 2
    return frame.readInt16BE(at - 2)
  }
  const int32 = () => {
    at += 4
    return frame.readInt32BE(at - 4)
  }
  const skipString = () => {
    const length = flexible ? varint() - 1 : int16()
    at += Math.max(0, length)
  }
  const brokers = flexible ? varint() - 1 : int32()
  for (let i = 0; i < brokers; i++) {
    int32()
    skipString()
    int32()
    if (version >= 1) skipString()
    if (flexible) varint()
  }
  const none = flexible ? Buffer.from([1]) : Buffer.alloc(4)
  const rewritten = Buffer.concat([frame.subarray(0, start), none, frame.subarray(at)])
  rewritten.writeInt32BE(rewritten.length - 4, 0)
  return rewritten
}

/** Cuts a stream of bytes into Kafka's frames, each with the four bytes of its length in front. */
function createFrames(): { take(chunk: Buffer): Buffer[] } {
  let rest: Buffer = Buffer.alloc(0)
  return {
    take(chunk) {
      rest = Buffer.concat([rest, chunk])
      const frames: Buffer[] = []
      while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
        const end = 4 + rest.readInt32BE(0)
        frames.push(rest.subarray(0, end))
        rest = rest.subarray(end)
      }
      return frames
    },
  }
}
