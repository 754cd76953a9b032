import { setTimeout as sleep } from 'node:timers/promises'
import type { KafkaProducer } from '#src/engine/kafka/producer.ts'
import { type BenchRecord, recordsOf } from './records.ts'

/** Records that were due in `[fromMs, toMs)`; in ms since the epoch. */
export interface Sent {
  readonly fromMs: number
  readonly toMs: number
  readonly counted: number
}

/** Sends orders to a topic, none of them twice. */
export interface PacedSender {
  /** The next offset of each partition; grows. */
  readonly ends: readonly bigint[]
  sendAtOnce(count: number): Promise<void>
  /** Resolves once the broker has all. @returns what was due past the settling time */
  send(ratePerSecond: number, seconds: number): Promise<Sent>
  /** Everything so far. */
  sent(): { readonly orders: number; readonly items: number }
}

export interface PacedSenderOptions {
  readonly producer: Pick<KafkaProducer, 'produce'>
  readonly topic: string
  readonly partitions: number
  readonly seed: number
  /** Seconds at the beginning of a rate that are not counted. */
  readonly settlingSeconds: number
}

const CHUNK = 5_000

export function createPacedSender(options: PacedSenderOptions): PacedSender {
  const { producer, topic, partitions, seed, settlingSeconds } = options
  const ends = Array.from({ length: partitions }, () => 0n)
  const records = recordsOf({
    ...{ seed, updatesRatio: 0, invalidRatio: 0 },
    ...{ items: undefined, hotShare: undefined, partitions },
  })
  const total = { orders: 0, items: 0 }

  /** Made before the clock starts. */
  function take(count: number): BenchRecord[] {
    return Array.from({ length: count }, () => {
      const record = records.next()
      total.orders += 1
      total.items += record.order?.items.length ?? 0
      return record
    })
  }

  async function produce({ key, value }: BenchRecord, timestampMs: number): Promise<void> {
    const { partition, offset } = await producer.produce({ topic, key, value, headers: [], timestampMs })
    if (offset >= (ends[partition] ?? 0n)) ends[partition] = offset + 1n
  }

  return {
    ends,
    sent: () => ({ ...total }),
    async sendAtOnce(count) {
      for (let left = count; left > 0; left -= CHUNK) {
        await Promise.all(take(Math.min(left, CHUNK)).map(record => produce(record, Date.now())))
      }
    },
    /**
     * Each record has a time at which it is due, and bears it as its timestamp, however late it is sent: a sender that is held up
     * would otherwise hide the wait of those behind.
     */
    async send(ratePerSecond, seconds) {
      const waiting = take(Math.round(ratePerSecond * seconds))
      const acknowledged: Promise<void>[] = []
      const startMs = Date.now() + 100
      const fromMs = startMs + settlingSeconds * 1000
      let counted = 0
      for (const [i, record] of waiting.entries()) {
        const dueMs = Math.floor(startMs + (i * 1000) / ratePerSecond)
        while (Date.now() < dueMs) await sleep(1)
        if (dueMs >= fromMs) counted += 1
        acknowledged.push(produce(record, dueMs))
      }
      await Promise.all(acknowledged)
      return { fromMs, toMs: startMs + seconds * 1000 + 1, counted }
    },
  }
}
