import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { quoted } from '../secret-text.ts'
import { createTokenSource, noToken, objectOf, TIMEOUT_MS, type TokenSource, tokenOf } from './tokens.ts'

export interface CommandOptions {
  /** The program and its arguments. */
  readonly command: readonly string[]
  readonly extensions: Readonly<Record<string, string>>
  /** What of its words must not be quoted. */
  readonly secrets?: () => readonly string[]
  readonly timeoutMs?: number
}

/** Tokens that a program prints: as JSON (`access_token` or `token`, with `expires_in` in s, or `expires_at` or `expiryTime`), or a bare JWT. */
export function commandTokens(options: CommandOptions): TokenSource {
  const { command, extensions, secrets = () => [], timeoutMs = TIMEOUT_MS } = options
  const [program = '', ...args] = command
  const remedy = 'KAFKA_SASL_OAUTH_TOKEN_COMMAND must print a token and end with 0; run it by hand'
  return createTokenSource(async () => {
    const { end, stdout, stderr } = await run(program, args, timeoutMs)
    const named = `the program ${quoted(program)}`
    if (end.how === 'not started') {
      const correct = 'correct KAFKA_SASL_OAUTH_TOKEN_COMMAND'
      if (NEVER_RUNS.has(end.code)) throw noToken(`${named} cannot be run (${end.code})`, correct, true)
      throw noToken(`${named} could not be started (${end.code})`, remedy)
    }
    if (end.how !== 'ended' || end.status !== 0) {
      const said = quoted(stderr.trim().split('\n').at(-1) ?? '', secrets())
      throw noToken(`${named} ${endWords(end, timeoutMs)}${said === '' ? '' : ` (it says: ${said})`}`, remedy)
    }
    const text = stdout.trim()
    const token = tokenOf(objectOf(text) ?? { token: text })
    if (typeof token === 'string') throw noToken(`${named} printed no token that can be used: ${token}`, remedy)
    return { ...token, principal: token.principal ?? '', extensions }
  })
}

type End =
  | { readonly how: 'not started'; readonly code: string }
  | { readonly how: 'ended'; readonly status: number | NodeJS.Signals }
  /** By us: it took too long, or printed without end. */
  | { readonly how: 'late' | 'too much' }

function endWords(end: Exclude<End, { how: 'not started' }>, timeoutMs: number): string {
  if (end.how === 'ended') return `ended with ${end.status}`
  return end.how === 'late' ? `did not end within ${timeoutMs / 1000} s` : `printed more than ${MAX_BYTES / 1024} KiB`
}

/** Why the system starts no program of this name, whenever it is tried. */
const NEVER_RUNS: ReadonlySet<string> = new Set([
  'ENOENT',
  'EACCES',
  'ENOTDIR',
  'ELOOP',
  'ENAMETOOLONG',
  'ENOEXEC',
  'E2BIG',
])

const MAX_BYTES = 256 * 1024
/** How much of stderr is kept; its last line is quoted. */
const TAIL_LENGTH = 4_096

interface Ran {
  readonly end: End
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs a program without a shell, so that nothing of its words is interpreted. It leads a process group of its own: what it has started, as a script
 * starts `curl`, ends together with it when it is ended, also because this process ends.
 */
async function run(program: string, args: readonly string[], timeoutMs: number): Promise<Ran> {
  const ended = Promise.withResolvers<End>()
  let stdout = ''
  let stderr = ''
  let child: ChildProcessByStdio<null, Readable, Readable>
  try {
    // No input: a program that waits for some would wait until its timeout.
    child = spawn(program, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  } catch (error) {
    // Some failures of a start are thrown, others reported.
    return { end: notStarted(error), stdout, stderr }
  }
  child.on('error', error => ended.resolve(notStarted(error)))
  child.on('close', (code, signal) => ended.resolve({ how: 'ended', status: signal ?? code ?? 0 }))
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    if (stdout.length > MAX_BYTES) ended.resolve({ how: 'too much' })
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-TAIL_LENGTH)
  })
  const endGroup = () => killGroup(child.pid)
  const timer = setTimeout(() => ended.resolve({ how: 'late' }), timeoutMs)
  process.once('exit', endGroup)
  const end = await ended.promise
  clearTimeout(timer)
  process.off('exit', endGroup)
  if (end.how === 'late' || end.how === 'too much') {
    endGroup()
    // One of them may have left the group, and still hold these open.
    child.stdout.destroy()
    child.stderr.destroy()
  }
  return { end, stdout, stderr }
}

function notStarted(error: unknown): End {
  return { how: 'not started', code: (error as NodeJS.ErrnoException).code ?? 'unknown' }
}

function killGroup(leader: number | undefined): void {
  if (leader === undefined) return
  try {
    process.kill(-leader, 'SIGKILL')
  } catch {
    // All of them have ended.
  }
}
