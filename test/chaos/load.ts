import { createHash } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type { GeneratorOptions, RecordGenerator } from '#src/engine/generator.ts'
import type { KafkaConnection } from '#src/engine/kafka/client.ts'
import { startProducer } from '#src/engine/kafka/producer.ts'
import type { Header, SourceRecord } from '#src/engine/record.ts'
import type { Stream } from '#src/engine/stream.ts'

/** Values, updates and invalid records of one stream, which go on through every fault; remembers what it sent. */
export interface Load {
  /** Sends no more, and waits for the last acknowledgement. */
  stop(): Promise<void>
  /** By sequence number. Values are not kept: the generator makes them again. */
  readonly sent: readonly SentRecord[]
  /** Neither acknowledged nor surely lost: the topic decides. */
  readonly unknown: number
  /** The same records from the beginning. */
  again(): RecordGenerator
}

export interface SentRecord {
  /** The key of the value, `null` for an invalid record. */
  readonly key: string | null
  readonly digest: string
  /** The position that the broker acknowledged. */
  at: { readonly partition: number; readonly offset: bigint } | undefined
}

export interface LoadOptions {
  readonly connection: KafkaConnection
  readonly stream: Pick<Stream, 'topic' | 'createGenerator'>
  readonly seed: number
  /** Records a second. */
  readonly rate: number
}

/** Of new versions, and of invalid records. */
export const SHARES = { updatesRatio: 0.3, invalidRatio: 0.03 } satisfies Partial<GeneratorOptions>
const SEQUENCE = 'chaos-sequence'
const TICK_MS = 20
/** Longer than any fault: a record must not be given up because the broker is unavailable. */
const DELIVERY_TIMEOUT_MS = 120_000

export async function startLoad({ connection, stream, seed, rate }: LoadOptions): Promise<Load> {
  const producer = await startProducer({ connection, deliveryTimeoutMs: DELIVERY_TIMEOUT_MS })
  const again = () => stream.createGenerator({ seed, ...SHARES })
  const generator = again()
  const sent: SentRecord[] = []
  let unknown = 0
  let stopping = false

  function send(): void {
    const sequence = sent.length
    const { key, value, expect } = generator.next()
    const entry: SentRecord = {
      key: expect === null ? key.toString() : null,
      digest: digestOf(key, value),
      at: undefined,
    }
    sent.push(entry)
    producer.produce({ topic: stream.topic, key, value, headers: headersOf(sequence) }).then(
      at => {
        entry.at = at
      },
      () => {
        unknown++
      },
    )
  }

  async function run(): Promise<void> {
    const from = performance.now()
    while (!stopping) {
      const due = Math.floor(((performance.now() - from) / 1000) * rate)
      while (sent.length < due && !stopping) send()
      await wait(TICK_MS)
    }
  }

  const running = run()
  return {
    sent,
    get unknown() {
      return unknown
    },
    again,
    async stop() {
      stopping = true
      await running
      await producer.close()
    },
  }
}

/** Which record of the load this is; `undefined` when it is none. */
export function sequenceOf(record: Pick<SourceRecord, 'headers'>): number | undefined {
  const text = record.headers.find(([name]) => name === SEQUENCE)?.[1].toString()
  return text === undefined ? undefined : Number(text)
}

export function digestOf(key: Buffer | null, value: Buffer | null): string {
  return createHash('sha1')
    .update(key ?? '')
    .update('\0')
    .update(value ?? 'null')
    .digest('base64url')
}

/** Some with what a careless copy would spoil: a name twice, bytes that are no text, no bytes at all. */
function headersOf(sequence: number): Header[] {
  const own: Header = [SEQUENCE, Buffer.from(String(sequence))]
  if (sequence % 3 !== 0) return [own]
  return [['trace', Buffer.from([0xff, 0x00, 0xfe])], own, ['trace', Buffer.alloc(0)]]
}
