/** The real servers, as a test of the projects `contract` and `scenarios` sees them. */
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'
import { databaseOn } from './template-database.ts'

/** `bootstrap.servers` of the Kafka that all test files share: give topics and groups names of their own. */
export function kafkaBrokers(): string {
  return inject('kafkaBrokers')
}

/**
 * A database for one test file, on the server that all share: empty, or with all migrations applied. It goes with the server; on one
 * that `DATABASE_URL` names it stays for inspection.
 * @returns its url.
 */
export async function freshDatabase({ migrated = false } = {}): Promise<string> {
  const server = inject('databaseUrl')
  const name = `test_${unique()}`
  const client = new pg.Client({ connectionString: server })
  await client.connect()
  try {
    // A copy takes a fraction of what the migrations do, and hundreds are needed.
    await client.query(`CREATE DATABASE ${name}${migrated ? ` TEMPLATE ${inject('migratedTemplate')}` : ''}`)
    // The user has the name of our schema, which `"$user"` would find: a name without it has to fail here as with any other user.
    await client.query(`ALTER DATABASE ${name} SET search_path = public`)
  } finally {
    await client.end()
  }
  return databaseOn(server, name)
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
