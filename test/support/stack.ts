/** The real servers, as a test of the projects `contract` and `scenarios` sees them. */
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'

/** `bootstrap.servers` of the Kafka that all test files share: give topics and groups names of their own. */
export function kafkaBrokers(): string {
  return inject('kafkaBrokers')
}

/**
 * An empty database for one test file, on the server that all share. It goes with the server; on one that
 * `DATABASE_URL` names it stays for inspection.
 * @returns its url.
 */
export async function freshDatabase(): Promise<string> {
  const server = inject('databaseUrl')
  const name = `test_${unique()}`
  const client = new pg.Client({ connectionString: server })
  await client.connect()
  try {
    await client.query(`CREATE DATABASE ${name}`)
  } finally {
    await client.end()
  }
  const url = new URL(server)
  url.pathname = `/${name}`
  return url.href
}

export interface FreshTopics {
  readonly topic: string
  readonly dlqTopic: string
  readonly groupId: string
}

/** Names that no other test uses. The topics are the caller's to create. */
export function freshTopics(prefix = 'orders'): FreshTopics {
  const topic = `${prefix}-${unique()}`
  return { topic, dlqTopic: `${topic}.dlq`, groupId: `${topic}-group` }
}

function unique(): string {
  return `${Date.now().toString(36)}${randomBytes(4).toString('hex')}`
}
