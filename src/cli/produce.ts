import { randomInt } from 'node:crypto'
import { systemClock } from '../clock.ts'
import { UsageError } from '../engine/errors.ts'
import { grouped } from '../engine/grouped.ts'
import { ensureTopics } from '../engine/kafka/admin.ts'
import { startProducer } from '../engine/kafka/producer.ts'
import type { Stream } from '../engine/stream.ts'
import type { SendTracing } from '../engine/tracing.ts'
import type { Config } from '../settings/config.ts'
import { startTracing } from '../telemetry/tracing-start.ts'
import { VERSION } from '../version.ts'
import { ENDLESS_RATE } from './arguments.ts'
import { CommandFailed } from './failure.ts'
import { onInterrupt } from './interrupt.ts'
import { note, print } from './output.ts'
import { startProgress } from './progress.ts'
import { type PublishResult, publish, type RecordToSend } from './publish.ts'
import { loadSetup, oneStream } from './streams.ts'
import { readValues } from './value-file.ts'

interface ProduceOptions {
  readonly stream?: string
  readonly count?: number
  readonly rate?: number
  readonly seed?: number
  readonly invalid?: number
  readonly updates?: number
  readonly file?: string
  readonly key?: string
  readonly json?: boolean
}

/** What is sent, and what is known about it beforehand. */
interface Plan {
  readonly records: Iterable<RecordToSend>
  /** `undefined`: without end. */
  readonly total: number | undefined
  readonly ratePerSecond: number | undefined
  /** Only of generated ones. */
  readonly seed: number | undefined
}

/** Sends records of a stream to its topic: generated ones, or those of a file. */
export async function produce(options: ProduceOptions): Promise<void> {
  const setup = await loadSetup()
  const stream = oneStream(setup, options.stream)
  const plan = await makePlan(options, stream)
  const service = { name: 'holdfast-producer', version: VERSION, statements: false }
  await using traces = await startTracing(process.env, service, (_level, text) => note(`traces: ${text}`))
  await using publisher = await startPublisher(setup.config, stream, traces.tracing)
  // Only from here on: before, nothing was sent, and Ctrl-C ends the wait for a broker at once.
  using interrupt = onInterrupt()

  if (plan.seed !== undefined && !options.json) note(`seed ${plan.seed}`)
  const progress = startProgress({ label: 'produced', silent: options.json === true })
  const result = await publish(plan.records, {
    publisher,
    clock: systemClock,
    ratePerSecond: plan.ratePerSecond,
    signal: interrupt.signal,
    onProgress(done, seconds) {
      progress.update({ done, total: plan.total, text: `${grouped(Math.round(done / Math.max(seconds, 0.001)))}/s` })
    },
  })
  progress.stop()
  report(result, stream, plan, options)
}

/** @throws CommandFailed when not all was produced */
function report(result: PublishResult, stream: Stream, plan: Plan, { json }: ProduceOptions): void {
  const { produced, failed } = result
  const seconds = Math.round(result.seconds * 1000) / 1000
  if (json) print(JSON.stringify({ stream: stream.name, produced, failed, seconds, seed: plan.seed }))
  else print(`produced ${grouped(produced)}, failed ${grouped(failed)}, in ${seconds} s`)
  if (failed > 0) {
    throw new CommandFailed(`${grouped(failed)} records were not acknowledged; no more were sent`, {
      exitCode: produced > 0 ? 3 : 1,
      cause: result.error,
    })
  }
  if (plan.total !== undefined && produced < plan.total) {
    throw new CommandFailed(`stopped after ${grouped(produced)} of ${grouped(plan.total)}`, { exitCode: 3 })
  }
}

async function makePlan(options: ProduceOptions, stream: Stream): Promise<Plan> {
  const { topic } = stream
  if (options.file !== undefined) {
    const values = await readValues(options.file)
    const records = values.map(value => {
      const key = options.key ?? stream.judge({ key: null, value }).key
      return { topic, key: key === null ? null : Buffer.from(key), value, headers: [] }
    })
    return { records, total: records.length, ratePerSecond: options.rate, seed: undefined }
  }
  if (options.key !== undefined)
    throw new UsageError('--key is for records of --file; generated ones have keys of their own')
  // Without --seed another one each time, because the same records again would only be updates; it is shown, to be used again.
  const seed = options.seed ?? randomInt(2 ** 32)
  const generator = stream.createGenerator({
    seed,
    invalidRatio: options.invalid ?? 0,
    updatesRatio: options.updates ?? 0.1,
  })
  function* records(): Iterable<RecordToSend> {
    for (let sent = 0; options.count === undefined || sent < options.count; sent++) {
      const { key, value } = generator.next()
      yield { topic, key, value, headers: [] }
    }
  }
  const ratePerSecond = options.rate ?? (options.count === undefined ? ENDLESS_RATE : undefined)
  return { records: records(), total: options.count, ratePerSecond, seed }
}

/** A producer, and a topic that is there. @throws BrokerUnavailableError UsageError */
async function startPublisher({ kafka }: Config, { topic, dlqTopic }: Stream, tracing: SendTracing) {
  const producer = await startProducer({
    connection: kafka,
    connectTimeoutMs: 8_000,
    deliveryTimeoutMs: 12_000,
    tracing,
  })
  try {
    if (kafka.createTopics) {
      const { topicPartitions: partitions, topicReplication: replication } = kafka
      await ensureTopics(kafka, producer, { topic, dlqTopic, partitions, replication })
    } else if ((await producer.partitionCount(topic)) === 0) {
      throw new UsageError(`there is no topic ${topic}: create it, or set KAFKA_CREATE_TOPICS=true`)
    }
  } catch (error) {
    await producer.close()
    throw error
  }
  return producer
}
