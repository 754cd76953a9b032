import type { Command } from 'commander'
import { Option } from 'commander'
import type { Config } from '../config.ts'
import type { SendTracing } from '../core/tracing.ts'
import { parseCount, parsePercent, parseRate } from './arguments.ts'
import type { RecordToSend } from './publish.ts'

interface ProduceOptions {
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

/** Without end and without a rate, a broker's disk would fill while nobody looks. */
const ENDLESS_RATE = 100

export function register(program: Command): void {
  const generated = (option: Option) => option.conflicts('file')
  program
    .command('produce')
    .description('send orders to the topic: generated ones, or those of a file')
    .addOption(generated(new Option('--count <n>', 'how many records (default: until Ctrl-C)').argParser(parseCount)))
    .option(
      '--rate <r/s>',
      `records a second (default: as fast as acknowledged; ${ENDLESS_RATE}/s without --count)`,
      parseRate,
    )
    .addOption(generated(new Option('--seed <s>', 'the same seed gives the same bytes').argParser(parseCount)))
    .addOption(
      generated(new Option('--invalid <p%>', 'share that no consumer can take (default: 0%)').argParser(parsePercent)),
    )
    .addOption(
      generated(
        new Option('--updates <p%>', 'share that is a new version of an earlier order (default: 10%)').argParser(
          parsePercent,
        ),
      ),
    )
    .option(
      '--file <path>',
      'send this order as it stands, even when invalid; of an array or NDJSON each; - reads stdin',
    )
    .option('--key <uid>', "key of the records of --file (default: each one's order_uid)")
    .option('--json', 'the summary as a JSON object')
    .addHelpText(
      'after',
      `
Examples:
  holdfast produce --count 1000 --seed 42
  holdfast produce --rate 500/s --invalid 2% --updates 20%
  holdfast produce --file data/model.json
  jq -c '.orders[]' dump.json | holdfast produce --file -`,
    )
    .action(produce)
}

async function produce(options: ProduceOptions): Promise<void> {
  const [{ loadConfig }, { CommandFailed }, { onInterrupt }, { grouped, startProgress }, { note, print }] =
    await Promise.all([
      import('../config.ts'),
      import('./failure.ts'),
      import('./interrupt.ts'),
      import('./progress.ts'),
      import('./output.ts'),
    ])
  const config = loadConfig(process.env)
  const plan = await makePlan(options, config.kafka.topic)
  // The native client is loaded last: wrong flags, settings and files are told before it takes its time.
  const [{ systemClock }, { publish }, { startTracing }, { VERSION }] = await Promise.all([
    import('../clock.ts'),
    import('./publish.ts'),
    import('../telemetry/tracing-start.ts'),
    import('../version.ts'),
  ])
  const service = { name: 'holdfast-producer', version: VERSION, statements: false }
  await using traces = await startTracing(process.env, service, (_level, text) => note(`traces: ${text}`))
  await using publisher = await startPublisher(config.kafka, traces.tracing)
  // Not before: Ctrl-C while it waits for a broker ends it at once, as nothing was sent.
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

  const { produced, failed } = result
  const seconds = Math.round(result.seconds * 1000) / 1000
  if (options.json) print(JSON.stringify({ produced, failed, seconds, seed: plan.seed }))
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

async function makePlan(options: ProduceOptions, topic: string): Promise<Plan> {
  if (options.file !== undefined) {
    const { readOrders, uidOf } = await import('./order-file.ts')
    const orders = await readOrders(options.file)
    const records = orders.map(value => {
      const key = options.key ?? uidOf(value)
      return { topic, key: key === null ? null : Buffer.from(key), value, headers: [] }
    })
    return { records, total: records.length, ratePerSecond: options.rate, seed: undefined }
  }
  if (options.key !== undefined) {
    const { UsageError } = await import('../core/errors.ts')
    throw new UsageError('--key is for records of --file; generated ones are keyed by their order_uid')
  }
  const [{ createGenerator }, { randomInt }] = await Promise.all([
    import('../orders/generator.ts'),
    import('node:crypto'),
  ])
  // A seed of its own each time, because the same orders again would only be updates. It is told: it can be asked for.
  const seed = options.seed ?? randomInt(2 ** 32)
  const generator = createGenerator({
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
async function startPublisher(kafka: Config['kafka'], tracing: SendTracing) {
  const [{ startProducer }, { ensureTopics }, { UsageError }] = await Promise.all([
    import('../kafka/producer.ts'),
    import('../kafka/admin.ts'),
    import('../core/errors.ts'),
  ])
  const connection = { brokers: kafka.brokers, security: kafka.security, extra: kafka.extra }
  const producer = await startProducer({ connection, connectTimeoutMs: 8_000, deliveryTimeoutMs: 12_000, tracing })
  try {
    if (kafka.createTopics) {
      const { topic, dlqTopic, topicPartitions: partitions, topicReplication: replication } = kafka
      await ensureTopics(connection, producer, { topic, dlqTopic, partitions, replication })
    } else if ((await producer.partitionCount(kafka.topic)) === 0) {
      throw new UsageError(`there is no topic ${kafka.topic}: create it, or set KAFKA_CREATE_TOPICS=true`)
    }
  } catch (error) {
    await producer.close()
    throw error
  }
  return producer
}
