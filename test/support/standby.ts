import { execFileSync } from 'node:child_process'
import { chownSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { onTestFinished } from 'vitest'
import { type EmbeddedPostgres, startPostgres } from '#tools/demo/servers/postgres.ts'
import { temporaryFolder } from '#tools/demo/servers/private-files.ts'
import { createWire, type WireMode } from './faults/wire.ts'
import { ownPostgres } from './own-servers.ts'
import { eventually } from './service.ts'

/** A primary, and a standby that receives its log over a wire which can be cut. Both go with the test. */
export interface ReplicatedPostgres {
  readonly primary: EmbeddedPostgres
  readonly standby: EmbeddedPostgres
  /** Names both servers, the primary first. */
  readonly url: string
  /** How the log gets to the standby. */
  replication(mode: WireMode): void
  /** Each commit waits until the standby has it on its disk. */
  makeSynchronous(): Promise<void>
  /** Resolves once the standby has all that the primary has written so far. */
  caughtUp(): Promise<void>
  /** Makes the standby a primary, on a timeline of its own. */
  promote(): Promise<void>
}

/** Enough for what a test writes: the standby asks for it again when it was cut off. */
const SETTINGS = { wal_keep_size: '256MB', hot_standby: 'on', wal_receiver_timeout: '5s' }
const NAME = 'standby'

export async function replicatedPostgres(): Promise<ReplicatedPostgres> {
  const primary = await ownPostgres({ settings: SETTINGS })
  const wire = await createWire({ targetPort: primary.port })
  onTestFinished(() => wire[Symbol.asyncDispose]())
  // A copy of a server that is stopped needs no backup mode.
  await primary.stop()
  const dir = temporaryFolder('standby')
  onTestFinished(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }))
  for (const part of ['data', 'password']) execFileSync('cp', ['-a', join(primary.dir, part), dir])
  const signal = join(dir, 'data', 'standby.signal')
  writeFileSync(signal, '')
  const { uid, gid } = statSync(join(dir, 'data'))
  chownSync(signal, uid, gid)
  await primary.restart()
  const { username, password } = new URL(primary.url)
  const source = `host=127.0.0.1 port=${wire.port} user=${username} password=${password} application_name=${NAME}`
  const standby = await startPostgres({ dir, settings: { ...SETTINGS, primary_conninfo: source } })
  onTestFinished(() => standby[Symbol.asyncDispose]())

  const url = new URL(primary.url)
  url.searchParams.set('target_session_attrs', 'read-write')
  const caughtUp = async () => {
    const [written] = await ask<{ at: string }>(primary.url, 'SELECT pg_current_wal_flush_lsn()::text AS at')
    await eventually(async () => {
      const [row] = await ask<{ has: boolean }>(standby.url, 'SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS has', [
        written?.at,
      ])
      return row?.has === true
    }, 'the standby having the log')
  }
  await caughtUp()
  return {
    primary,
    standby,
    url: url.href.replace(`:${primary.port}/`, `:${primary.port},127.0.0.1:${standby.port}/`),
    replication: mode => wire.set(mode),
    async makeSynchronous() {
      await ask(primary.url, `ALTER SYSTEM SET synchronous_standby_names = '${NAME}'`)
      await ask(primary.url, 'SELECT pg_reload_conf()')
      await eventually(async () => {
        const [row] = await ask<{ sync_state: string }>(primary.url, 'SELECT sync_state FROM pg_stat_replication')
        return row?.sync_state === 'sync'
      }, 'commits waiting for the standby')
    },
    caughtUp,
    promote: async () => void (await ask(standby.url, 'SELECT pg_promote()')),
  }
}

/** On a connection of its own, to one server. */
export async function ask<Row extends pg.QueryResultRow>(
  url: string,
  text: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 60_000 })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query<Row>(text, [...values])).rows
  } finally {
    await client.end()
  }
}
