import { createHash, randomBytes } from 'node:crypto'
import type { DlqPosition } from '../../engine/dead-letter.ts'
import { BrokerUnavailableError } from '../../engine/errors.ts'
import { CODE, describe } from '../../engine/kafka/errors.ts'
import { createGate } from '../../engine/kafka/gate.ts'
import type { KafkaProducer } from '../../engine/kafka/producer.ts'
import type { DeadLetterSink } from '../../engine/ports.ts'
import { originId } from '../../engine/record.ts'
import { withTraceparent } from '../../engine/trace-context.ts'
import { type Omitted, omit } from '../omission.ts'
import { type DeadLetterRecord, toDeadLetterRecord } from '../record.ts'

/**
 * Dead letters to their topic, on the partition that mirrors the source's (source partition % partitions), so that
 * the dead letters of a partition stay in order. One that is too large for the topic goes without its value, or without all of
 * the record: its headers say why it failed and where its bytes lie, and the stream goes on.
 */
export function createDeadLetterSink(
  producer: KafkaProducer,
  topic: string,
  onWarning: (message: string) => void = () => {},
): DeadLetterSink {
  const gate = createGate()
  let partitions = 0

  async function probe(): Promise<void> {
    partitions = await producer.partitionCount(topic)
    if (partitions === 0) {
      throw new BrokerUnavailableError(
        `the dead-letter topic ${topic} does not exist; create it, or let KAFKA_CREATE_TOPICS=true do so at start`,
      )
    }
  }

  async function produce(letter: DeadLetterRecord, sourcePartition: number): Promise<DlqPosition> {
    return await producer.produce({
      topic,
      partition: sourcePartition % partitions,
      key: letter.key,
      value: letter.value,
      // Also without tracing, so that what becomes of it later has a trace to begin with.
      headers: withTraceparent(letter.headers, newTraceparent),
      timestampMs: letter.timestampMs,
    })
  }

  return {
    probe,
    async send(deadLetter) {
      // A missing topic would cost the whole delivery timeout for each record: ask first.
      if (partitions === 0) await probe()
      const { record, origin } = deadLetter
      const letter = toDeadLetterRecord(deadLetter)
      const less = (what: Omitted) => omit(letter, record, what, sha256)
      try {
        const sent = await orTooLarge(gate.together(() => produce(letter, origin.partition)))
        if (sent !== undefined) return sent
        return await gate.alone(async () => {
          // The limit is one of a batch: what did not fit with its neighbours may fit alone.
          const alone = await orTooLarge(produce(letter, origin.partition))
          if (alone !== undefined) return alone
          onWarning(
            `the dead letter ${originId(origin)} is too large for ${topic}, and goes without its value, which lies at ` +
              `${originId(record)}; raise max.message.bytes of ${topic} to 64 KiB above that of ${record.topic}`,
          )
          return (
            (await orTooLarge(produce(less('value'), origin.partition))) ??
            (await produce(less('record'), origin.partition))
          )
        })
      } catch (error) {
        partitions = 0
        throw error
      }
    },
  }
}

/** @returns `undefined` when the topic does not take a record of this size */
async function orTooLarge(sent: Promise<DlqPosition>): Promise<DlqPosition | undefined> {
  try {
    return await sent
  } catch (error) {
    if (error instanceof BrokerUnavailableError && describe(error.cause).code === CODE.recordTooLarge) return undefined
    throw error
  }
}

export function sha256(value: Buffer): string {
  return createHash('sha256').update(value).digest('hex')
}

/** Flags of a trace that is not recorded. */
function newTraceparent(): string {
  return `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-00`
}
