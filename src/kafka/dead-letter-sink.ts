import { randomBytes } from 'node:crypto'
import { toDeadLetterRecord } from '../core/dead-letter-record.ts'
import { BrokerUnavailableError } from '../core/errors.ts'
import type { DeadLetterSink } from '../core/ports.ts'
import { withTraceparent } from '../core/trace-context.ts'
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
          // Also where nobody follows orders, so that what becomes of it later has a trace to begin with.
          headers: withTraceparent(headers, newTraceparent),
          timestampMs,
        })
      } catch (error) {
        partitions = 0
        throw error
      }
    },
  }
}

/** Of a trace that nobody records: flags `00`. */
function newTraceparent(): string {
  return `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-00`
}
