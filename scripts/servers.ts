/**
 * The last step of set-up: what the embedded servers need is there, so that the first "make demo" need not wait.
 * What is missing is reported, but set-up still succeeds: users with servers of their own need none of it.
 */
import { fetchKafkaJars, findJava } from '../tools/demo/servers/kafka-jars.ts'
import { SetupError } from '../tools/demo/servers/machine.ts'
import { findPostgres } from '../tools/demo/servers/postgres-binaries.ts'
import { fetchPrometheus } from '../tools/demo/servers/prometheus-binaries.ts'

const say = (line: string): void => console.error(`servers: ${line}`)

async function kafka(): Promise<void> {
  if (process.env.KAFKA_BROKERS) return
  await findJava()
  await fetchKafkaJars(say)
}

function postgres(): void {
  if (!process.env.DATABASE_URL) findPostgres()
}

async function prometheus(): Promise<void> {
  await fetchPrometheus(say, process.env.HOLDFAST_INSTALL_PACKAGES === '1' && process.getuid?.() === 0)
}

for (const prepare of [kafka, postgres, prometheus]) {
  try {
    await prepare()
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    say(error.message)
  }
}
