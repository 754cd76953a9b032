import { onTestFinished } from 'vitest'
import { type EmbeddedKafka, type KafkaOptions, startKafka } from '#tools/demo/servers/kafka.ts'
import { type EmbeddedPostgres, type PostgresOptions, startPostgres } from '#tools/demo/servers/postgres.ts'

/** A Kafka that only this test uses, so that it may be frozen or killed. Goes with the test. */
export async function ownKafka(options: KafkaOptions = {}): Promise<EmbeddedKafka> {
  const kafka = await startKafka(options)
  onTestFinished(() => kafka[Symbol.asyncDispose]())
  return kafka
}

/** A PostgreSQL that only this test uses, so that it may be stopped. Goes with the test. */
export async function ownPostgres(options: PostgresOptions = {}): Promise<EmbeddedPostgres> {
  const postgres = await startPostgres(options)
  onTestFinished(() => postgres[Symbol.asyncDispose]())
  return postgres
}
