/** A real PostgreSQL on a free port of the loopback interface, for demo, tests and benches. fsync stays on. */
import { randomBytes } from 'node:crypto'
import { chownSync, existsSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import pg from 'pg'
import { type GuardedOptions, type GuardedProcess, runGuarded, startGuarded, untilReady } from './guarded-process.ts'
import { freePorts, SetupError } from './machine.ts'
import { copyPostgres, reachableBy, unprivilegedUser } from './postgres-binaries.ts'
import { postgresBinaries } from './postgres-versions.ts'
import { keptFolder, temporaryFolder, writePrivate } from './private-files.ts'
import { cleanLeftovers } from './runs.ts'

export interface PostgresOptions {
  /** Keeps its data here between runs; without it, a temporary folder that is removed with the server. */
  readonly dir?: string | undefined
  /** Called with one line for each step that takes time. */
  readonly log?: ((line: string) => void) | undefined
  /** Server settings on top of ours, as `{'max_connections': '20'}`. */
  readonly settings?: Readonly<Record<string, string>> | undefined
}

export interface EmbeddedPostgres extends AsyncDisposable {
  /** The database `holdfast`, whose owner is superuser: tests may alter the system. */
  readonly url: string
  readonly port: number
  /** The pid of the postmaster; it changes with {@link restart}. */
  readonly pid: number
  readonly dir: string
  readonly logFile: string
  /** As `pg_ctl stop -m`: fast ends the sessions, immediate is a crash without a checkpoint. The folder stays. */
  stop(mode?: 'fast' | 'immediate'): Promise<void>
  /** A signal to the postmaster, as `kill -s`. Does not wait. */
  kill(signal: NodeJS.Signals): void
  /** Stops it if it runs, and starts it again on the same port and data. */
  restart(): Promise<void>
  /** @returns the url of the new database. */
  createDatabase(name: string): Promise<string>
  /** Stops it for good: with a kept folder cleanly; with a temporary one at once, and the folder is removed. */
  [Symbol.asyncDispose](): Promise<void>
}

const owner = 'holdfast'

/**
 * Starts a server and waits until it answers a query.
 * @throws SetupError when this machine cannot run it; Error with the end of its log when it fails.
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<EmbeddedPostgres> {
  const log = options.log ?? (() => {})
  await cleanLeftovers(log)
  const user = unprivilegedUser()
  const installed = await postgresBinaries(log)
  const temporary = options.dir === undefined
  const dir = options.dir === undefined ? temporaryFolder('postgres') : resolve(options.dir)
  keptFolder(dir, user === undefined ? [] : [user.uid])
  if (user) chownSync(dir, user.uid, user.gid)
  if (!reachableBy(user, dir)) {
    if (temporary) rmSync(dir, { recursive: true })
    throw new SetupError(
      `PostgreSQL refuses to run as root and so runs as another user, who cannot get to ${dir}. ` +
        'Choose a folder whose parents others may pass, as below /var/tmp, or run as a user who is not root.',
    )
  }
  const binaries = reachableBy(user, join(installed, 'bin')) ? installed : copyPostgres(installed, join(dir, 'native'))
  const [port = 0] = await freePorts(1)
  const data = join(dir, 'data')
  const passwordFile = join(dir, 'password')
  const logFile = join(dir, 'postgres.log')

  const postgresProcess = (program: string, args: readonly string[]): GuardedOptions => ({
    command: join(binaries, 'bin', program),
    args,
    // LC_ALL: neither the order of text nor the language of errors may depend on the machine.
    env: { PATH: process.env.PATH ?? '', HOME: dir, LC_ALL: 'C', TZ: 'UTC' },
    cwd: dir,
    logFile,
    user,
    stopSignal: 'SIGINT', // fast shutdown; SIGTERM would wait for every session to leave
    graceMs: 15_000,
    temporaryDir: temporary ? dir : undefined,
  })

  const initialise = async (): Promise<void> => {
    if (existsSync(data)) return
    writePrivate(passwordFile, randomBytes(18).toString('base64url'))
    if (user) chownSync(passwordFile, user.uid, user.gid)
    const unfinished = `${data}.new` // renamed when whole, so that an interrupted start leaves nothing half made
    rmSync(unfinished, { recursive: true, force: true })
    const args = [`--pgdata=${unfinished}`, `--username=${owner}`, `--pwfile=${passwordFile}`, '--auth=scram-sha-256']
    const cluster = ['--encoding=UTF8', '--locale=C', '--no-instructions', ...(temporary ? ['--no-sync'] : [])]
    await runGuarded('Making the database cluster', postgresProcess('initdb', [...args, ...cluster]))
    renameSync(unfinished, data)
  }

  const urlOf = (database: string): string =>
    `postgres://${owner}:${readFileSync(passwordFile, 'utf8')}@127.0.0.1:${port}/${encodeURIComponent(database)}`
  const settings = { ...serverSettings(port), ...options.settings }
  const serverArgs = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])

  const start = async (): Promise<GuardedProcess> => {
    const server = await startGuarded(postgresProcess('postgres', ['-D', data, ...serverArgs]))
    try {
      const readiness = { logFile, isFinal: isRefusal }
      await untilReady('PostgreSQL', server, readiness, () => query(urlOf('postgres'), 'SELECT 1'))
      return server
    } catch (error) {
      await server.stop('SIGQUIT')
      throw error
    }
  }

  const createDatabase = async (name: string): Promise<string> => {
    await query(urlOf('postgres'), `CREATE DATABASE ${pg.escapeIdentifier(name)}`)
    return urlOf(name)
  }

  let server: GuardedProcess
  try {
    await initialise()
    server = await start()
    await createDatabase(owner).catch(unlessItExists)
  } catch (error) {
    if (temporary) rmSync(dir, { recursive: true, force: true })
    throw error
  }

  return {
    url: urlOf(owner),
    port,
    get pid() {
      return server.pid
    },
    dir,
    logFile,
    stop: (mode = 'fast') => server.stop(mode === 'fast' ? 'SIGINT' : 'SIGQUIT'),
    kill: signal => server.kill(signal),
    restart: async () => {
      await server.stop()
      server = await startOnceFree(start)
    },
    createDatabase,
    [Symbol.asyncDispose]: async () => {
      await server.stop(temporary ? 'SIGQUIT' : undefined)
      if (temporary) rmSync(dir, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

/** After a crash the last sessions hold the old server's memory for a moment more; until then a start is refused. */
async function startOnceFree(start: () => Promise<GuardedProcess>): Promise<GuardedProcess> {
  for (let triesLeft = 100; ; triesLeft--) {
    try {
      return await start()
    } catch (error) {
      if (triesLeft === 0 || !String(error).includes('pre-existing shared memory block')) throw error
      await new Promise(resolve => setTimeout(resolve, 100))
    }
  }
}

function serverSettings(port: number): Record<string, string> {
  return {
    port: String(port),
    listen_addresses: '127.0.0.1',
    // No socket in /tmp: it would outlive a kill -9, and another server's lock file there would prevent the start.
    unix_socket_directories: '',
    // Several test files run at a time, each with pools of its own.
    max_connections: '200',
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_line_prefix: '%m [%p] %a ',
    // Leaves out DETAIL and CONTEXT, which quote rows in errors.
    log_error_verbosity: 'terse',
  }
}

async function query(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2000 })
  client.on('error', () => {}) // a session that the server ends afterwards; the query itself rejects
  try {
    await client.connect()
    await client.query(sql)
  } finally {
    await client.end()
  }
}

function sqlState(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

/** 28: a wrong password, as when the folder's password file was exchanged. Waiting does not cure it. */
function isRefusal(error: unknown): boolean {
  return sqlState(error).startsWith('28')
}

function unlessItExists(error: unknown): void {
  // duplicate_database: a kept folder; read_only_sql_transaction: a standby, which has what its primary has.
  if (!['42P04', '25006'].includes(sqlState(error))) throw error
}
