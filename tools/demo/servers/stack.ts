import { join } from 'node:path'
import { lockFolder } from './folder-lock.ts'
import { type EmbeddedKafka, startKafka } from './kafka.ts'
import { type EmbeddedPostgres, startPostgres } from './postgres.ts'
import { letOthersPass, unprivilegedUser } from './postgres-binaries.ts'
import { keptFolder } from './private-files.ts'

export interface StackOptions {
  /** Named: that Kafka is used, and none started. */
  readonly kafkaBrokers?: string | undefined
  /** Named: that database is used, and none started. */
  readonly databaseUrl?: string | undefined
  /** Keeps the data of both below this folder between runs; without it, temporary folders. */
  readonly dataDir?: string | undefined
  readonly log?: ((line: string) => void) | undefined
}

export interface EmbeddedStack extends AsyncDisposable {
  readonly kafkaBrokers: string
  readonly databaseUrl: string
  /** Undefined where the caller's own is used. */
  readonly kafka: EmbeddedKafka | undefined
  readonly postgres: EmbeddedPostgres | undefined
  /** Stops what was started here; safe to call twice. Stop what uses it first. */
  stop(): Promise<void>
}

/**
 * Kafka and PostgreSQL side by side, each started unless the caller names one. When either fails to start, the
 * other is stopped again before the error is thrown.
 */
export async function startStack(options: StackOptions = {}): Promise<EmbeddedStack> {
  const { dataDir, log, kafkaBrokers, databaseUrl } = options
  let lock: Disposable | undefined
  if (dataDir !== undefined) {
    keptFolder(dataDir)
    if (!databaseUrl && unprivilegedUser()) letOthersPass(dataDir, log ?? (() => {}))
    lock = lockFolder(dataDir)
  }
  const dirOf = (name: string): string | undefined => (dataDir === undefined ? undefined : join(dataDir, name))
  const [kafkaStart, postgresStart] = await Promise.allSettled([
    kafkaBrokers ? undefined : announced('Kafka', () => startKafka({ dir: dirOf('kafka'), log }), log),
    databaseUrl ? undefined : announced('PostgreSQL', () => startPostgres({ dir: dirOf('postgres'), log }), log),
  ])
  const kafka = kafkaStart.status === 'fulfilled' ? kafkaStart.value : undefined
  const postgres = postgresStart.status === 'fulfilled' ? postgresStart.value : undefined
  const stop = async (): Promise<void> => {
    await Promise.all([kafka?.[Symbol.asyncDispose](), postgres?.[Symbol.asyncDispose]()])
    lock?.[Symbol.dispose]()
  }
  const failure = [kafkaStart, postgresStart].find(start => start.status === 'rejected')
  if (failure) {
    await stop()
    throw failure.reason
  }
  return {
    kafkaBrokers: kafkaBrokers ?? kafka?.brokers ?? '',
    databaseUrl: databaseUrl ?? postgres?.url ?? '',
    kafka,
    postgres,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** Logs a start that takes seconds before it begins, so that the user knows what the wait is for, and again when it is done. */
async function announced<T>(what: string, start: () => Promise<T>, log: StackOptions['log']): Promise<T> {
  const since = performance.now()
  log?.(`starting ${what} …`)
  const started = await start()
  log?.(`${what} answers after ${((performance.now() - since) / 1000).toFixed(1)} s`)
  return started
}
