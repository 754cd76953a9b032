import { execFileSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fstatSync,
  globSync,
  openSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  statSync,
} from 'node:fs'
import { createServer, type Server } from 'node:net'
import { homedir, hostname } from 'node:os'
import { join } from 'node:path'

/** What this machine lacks for the embedded stack. The message says what is missing and how to get it. */
export class SetupError extends Error {
  override readonly name = 'SetupError'
}

/** The way out that every {@link SetupError} of the stack may offer. */
export const otherWays =
  'Or name servers of your own with KAFKA_BROKERS and DATABASE_URL ("docker compose up -d kafka postgres" starts both); ' +
  'the demo uses them with --use-env.'

/**
 * What can be fetched or built again lives here: Kafka's jars, the compiled client, the notes on running servers.
 * The XDG base directory rule: `$XDG_CACHE_HOME`, where it is absolute, else `~/.cache`.
 */
export function cacheDir(env: NodeJS.ProcessEnv = process.env): string {
  const xdg = env.XDG_CACHE_HOME
  return join(xdg?.startsWith('/') ? xdg : join(env.HOME || homedir(), '.cache'), 'holdfast')
}

/**
 * Removes from the cache what an interrupted fetch left behind. Recent folders stay, because another process may be fetching into them.
 * @param pattern of the folders' names, as `kafka-*.tmp`
 */
export function removeAbandoned(pattern: string, env: NodeJS.ProcessEnv = process.env): void {
  for (const dir of globSync(pattern, { cwd: cacheDir(env) }).map(name => join(cacheDir(env), name))) {
    if (Date.now() - statSync(dir).mtimeMs > 3_600_000) rmSync(dir, { recursive: true, force: true })
  }
}

/**
 * Names one run of one process: a pid alone may be reused, a pid with its start time is not.
 * @returns undefined when no such process runs; a zombie counts as gone, for only its name is left.
 */
export function processIdentity(pid: number): string | undefined {
  return existsSync('/proc/self/stat') ? identityFromProc(pid) : identityFromPs(pid)
}

function identityFromProc(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The command name in brackets may hold spaces and brackets itself, so count from the last one:
    // field 3 (state) comes next, field 22 (start time, in ticks since boot) is 19 further on (proc(5)).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    return `${boot}/${fields[19]}`
  } catch {
    return undefined
  }
}

function identityFromPs(pid: number): string | undefined {
  try {
    const env = { ...process.env, LC_ALL: 'C' }
    const said = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { env, stdio: 'pipe' }).toString()
    const [state, ...started] = said.trim().split(/\s+/)
    return !state || state.startsWith('Z') ? undefined : started.join(' ')
  } catch {
    return undefined
  }
}

/** Where pids mean what they say here: another container may share the home folder, but not the processes. */
export function processNamespace(): string {
  try {
    return `${hostname()} ${readlinkSync('/proc/self/ns/pid')}`
  } catch {
    return hostname()
  }
}

/**
 * Ports of 127.0.0.1 that were free a moment ago. All are held until the last is found, so none comes twice.
 *
 * They lie below those that systems give to outgoing connections (from 32768 on Linux, 49152 elsewhere). From that range
 * a connection could take the port of a server that restarts; a client that tries to reconnect to it can even
 * be given the very port it is looking for, is connected to itself, and the server never gets it back.
 */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, holdSomePort))
  await Promise.all(servers.map(({ server }) => new Promise(done => server.close(done))))
  return servers.map(({ port }) => port)
}

async function holdSomePort(): Promise<{ server: Server; port: number }> {
  for (let triesLeft = 100; ; triesLeft--) {
    const port = randomInt(16_384, 32_768)
    try {
      return { server: await listen(port), port }
    } catch (error) {
      if (triesLeft === 0) throw error
    }
  }
}

function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => resolve(server))
  })
}

/** The end of a log file, for an error message: at most `lines` lines out of the last 8 KiB. */
export function logTail(file: string, lines = 12): string {
  try {
    const handle = openSync(file, 'r')
    try {
      const { size } = fstatSync(handle)
      const buffer = Buffer.alloc(Math.min(size, 8192))
      readSync(handle, buffer, 0, buffer.length, size - buffer.length)
      return buffer.toString('utf8').trimEnd().split('\n').slice(-lines).join('\n')
    } finally {
      closeSync(handle)
    }
  } catch {
    return ''
  }
}
