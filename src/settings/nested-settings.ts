import { firstUrl } from '../engine/postgres/database-url.ts'
import { PEM_FILE, readable } from './readers.ts'

/**
 * Mistakes inside of settings that hold others: the properties of KAFKA_CONFIG, and the query of a database's URL. A file that is not
 * there is a mistake of the settings, and no outage: the clients of Kafka and Postgres would only fail to connect, again and again.
 * @returns what is wrong, a line each
 */
export function filesOfKafka(config: Readonly<Record<string, string>>): string[] {
  return Object.entries(config)
    .filter(([name, path]) => name.endsWith('.location') && !path.includes('://') && readable(path) === undefined)
    .map(([name, path]) => `KAFKA_CONFIG holds ${name}=${path}: it must be the path of a file that can be read`)
}

/** The same of a database's URL, which this setting holds. */
export function filesOfPostgres(setting: string, url: string): string[] {
  return [...new URL(firstUrl(url)).searchParams]
    .filter(([name, path]) => /^ssl(rootcert|cert|key)$/.test(name) && readable(path) === undefined)
    .map(([name, path]) => `${setting} holds ${name}=${path}: it must be ${PEM_FILE}`)
}

/** What the client of Postgres takes from the URL before our own values: the limits of its waits are promises of ours. */
const REFUSED_IN_URL =
  /^(statement_timeout|lock_timeout|query_timeout|idle_in_transaction_session_timeout|connectionTimeoutMillis|keepAlive|keepAliveInitialDelayMillis|pipeline|binary|replication|client_encoding|types|stream)$/

/** @returns names of the URL's query that may not stand there */
export function refusedInUrl(databaseUrl: string): string[] {
  return [...new URL(firstUrl(databaseUrl)).searchParams.keys()].filter(name => REFUSED_IN_URL.test(name))
}
