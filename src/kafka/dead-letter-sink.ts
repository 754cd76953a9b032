import { toDeadLetterRecord } from '../core/dead-letter.ts'
import { BrokerUnavailableError } from '../core/errors.ts'
import type { DeadLetterSink } from '../core/ports.ts'
import type { KafkaProducer } from './producer.ts'

/**
 * Dead letters to their topic, on the partition that mirrors the source's (source partition % partitions), so that
 * the dead letters of a partition stay in order.
 */
export function createDeadLetterSink(producer: KafkaProducer, topic: string): DeadLetterSink {
  let partitions = 0

  async function probe(): Promise<void> {
    partitions = await producer.partitionCount(topic)
    if (partitions === 0) {
      throw new BrokerUnavailableError(
        `the dead-letter topic ${topic} does not exist; create it, or let KAFKA_CREATE_TOPICS=true do so at start`,
      )
    }
  }

  return {
    probe,
    async send(deadLetter) {
      // A missing topic would cost the whole delivery timeout for each record: ask first.
      if (partitions === 0) await probe()
      const { key, value, headers, timestampMs } = toDeadLetterRecord(deadLetter)
      try {
        return await producer.produce({
          topic,
          partition: deadLetter.origin.partition % partitions,
          key,
          value,
          headers,
          timestampMs,
        })
      } catch (error) {
        partitions = 0
        throw error
      }
    },
  }
}
