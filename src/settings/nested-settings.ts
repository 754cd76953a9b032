import { PEM_FILE, readable } from './readers.ts'

/** Mistakes inside of settings that hold others: the properties of KAFKA_CONFIG, and the query of DATABASE_URL. */

/**
 * A file that is not there is a mistake of the settings, and no outage: the clients of Kafka and Postgres would only fail to
 * connect, again and again.
 * @returns what is wrong, a line each
 */
export function fileProblems(kafkaConfig: Readonly<Record<string, string>>, databaseUrl: string): string[] {
  const ofKafka = Object.entries(kafkaConfig)
    .filter(([name, path]) => name.endsWith('.location') && !path.includes('://') && readable(path) === undefined)
    .map(([name, path]) => `KAFKA_CONFIG holds ${name}=${path}: it must be the path of a file that can be read`)
  const ofPostgres = [...new URL(databaseUrl).searchParams]
    .filter(([name, path]) => /^ssl(rootcert|cert|key)$/.test(name) && readable(path) === undefined)
    .map(([name, path]) => `DATABASE_URL holds ${name}=${path}: it must be ${PEM_FILE}`)
  return [...ofKafka, ...ofPostgres]
}

/** What the client of Postgres takes from the URL before our own values: the limits of its waits are promises of ours. */
const REFUSED_IN_URL =
  /^(statement_timeout|lock_timeout|query_timeout|idle_in_transaction_session_timeout|connectionTimeoutMillis|keepAlive|keepAliveInitialDelayMillis|pipeline|binary|replication|client_encoding|types|stream)$/

/** @returns names of the URL's query that may not stand there */
export function refusedInUrl(databaseUrl: string): string[] {
  return [...new URL(databaseUrl).searchParams.keys()].filter(name => REFUSED_IN_URL.test(name))
}
