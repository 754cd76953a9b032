/** A real PgBouncer in front of a database, set up by the very file that docs/postgres.md shows. */
import { chownSync, cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, it, onTestFinished } from 'vitest'
import { type GuardedProcess, startGuarded, untilReady } from '#tools/demo/servers/guarded-process.ts'
import { freePorts } from '#tools/demo/servers/machine.ts'
import { unprivilegedUser } from '#tools/demo/servers/postgres-binaries.ts'
import { temporaryFolder } from '#tools/demo/servers/private-files.ts'
import { findPgBouncers, type PgBouncerProgram } from './pgbouncer-programs.ts'

export type PoolMode = 'session' | 'transaction' | 'statement'

export interface PgBouncerOptions {
  /** The database behind it; all others of that server are served as well. */
  readonly databaseUrl: string
  readonly mode: PoolMode
  /** Settings of `[pgbouncer]` that differ from those of the document. */
  readonly settings?: Readonly<Record<string, string>>
  readonly program: PgBouncerProgram
}

export interface PgBouncer extends AsyncDisposable {
  readonly port: number
  readonly pid: number
  /** A database through it; default: the one behind it. */
  url(databaseUrl?: string): string
  kill(signal: NodeJS.Signals): void
  /** Stops it as an operator does (SIGTERM: at once), and starts it again on the same port. */
  restart(): Promise<void>
  stop(signal?: NodeJS.Signals): Promise<void>
}

const DOCUMENT = fileURLToPath(new URL('../../docs/postgres.md', import.meta.url))

/** `pgbouncer.ini` as the document has it. */
function documentedIni(): string {
  const [, ini] = /```ini\n(.*?)```/s.exec(readFileSync(DOCUMENT, 'utf8')) ?? []
  if (ini === undefined) throw new Error(`${DOCUMENT} shows no pgbouncer.ini`)
  return ini
}

export async function startPgBouncer({
  databaseUrl,
  mode,
  settings = {},
  program,
}: PgBouncerOptions): Promise<PgBouncer> {
  const dir = temporaryFolder('pgbouncer')
  const user = unprivilegedUser()
  const [port = 0] = await freePorts(1)
  const { hostname, port: serverPort, username, password } = new URL(databaseUrl)
  const users = join(dir, 'userlist.txt')
  const ini = join(dir, 'pgbouncer.ini')
  const logFile = join(dir, 'pgbouncer.log')
  const differing = { listen_port: String(port), auth_file: users, pool_mode: mode, ...settings }
  writeFileSync(users, `"${decodeURIComponent(username)}" "${decodeURIComponent(password)}"\n`)
  writeFileSync(ini, changed(documentedIni(), `host=${hostname} port=${serverPort}`, differing))
  // The cache may lie where another user cannot pass, and PgBouncer refuses to run as root.
  const copy = join(dir, 'program')
  if (program.dir !== undefined) cpSync(program.dir, copy, { recursive: true, verbatimSymlinks: true })
  if (user) for (const path of [dir, users, ini]) chownSync(path, user.uid, user.gid)

  const [command = '', ...args] = program.command(copy)
  const start = async (): Promise<GuardedProcess> => {
    const started = await startGuarded({
      command,
      args: [...args, ini],
      env: { PATH: process.env.PATH ?? '', HOME: dir },
      cwd: dir,
      logFile,
      user,
      stopSignal: 'SIGTERM',
      graceMs: 5_000,
      temporaryDir: dir,
    })
    await untilReady('PgBouncer', started, { logFile, timeoutMs: 30_000 }, () => listens(port))
    return started
  }
  let server = await start()
  return {
    port,
    get pid() {
      return server.pid
    },
    url(of = databaseUrl) {
      const url = new URL(of)
      url.port = String(port)
      return url.href
    },
    kill: signal => server.kill(signal),
    async restart() {
      await server.stop('SIGKILL')
      server = await start()
    },
    stop: signal => server.stop(signal),
    async [Symbol.asyncDispose]() {
      await server.stop('SIGKILL')
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** One that ends with the test. */
export async function aPgBouncer(options: PgBouncerOptions): Promise<PgBouncer> {
  const pooler = await startPgBouncer(options)
  onTestFinished(() => pooler[Symbol.asyncDispose]())
  return pooler
}

/** The file with another place of the server, and with these settings. */
function changed(text: string, place: string, settings: Readonly<Record<string, string>>): string {
  const databases = text.replace(/^\w+ = host=.*$/m, `* = ${place}`)
  return Object.entries(settings).reduce((file, [name, value]) => {
    const line = `${name} = ${value}`
    const known = new RegExp(`^;? ?${name} = .*$`, 'm')
    return known.test(file) ? file.replace(known, line) : `${file.trimEnd()}\n${line}\n`
  }, databases)
}

function listens(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: '127.0.0.1', port })
    socket.once('connect', () => {
      socket.destroy()
      resolve()
    })
    socket.once('error', reject)
  })
}

/**
 * Tests that need PgBouncer, once for each that there is: Debian's own, and a newer one which keeps account of prepared statements. Where none
 * is to be had they are skipped, by a name that says so.
 */
export async function withPgBouncers(name: string, tests: (program: PgBouncerProgram) => void): Promise<void> {
  const { programs, missing } = await findPgBouncers()
  for (const program of programs) describe(`${name}, PgBouncer ${program.version}`, () => tests(program))
  for (const why of missing) it.skip(`${name}: skipped, because ${why}`, () => {})
}
