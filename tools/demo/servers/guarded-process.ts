/**
 * Child processes that never outlive this process, however it ends.
 *
 * The hand-shake, in the order it happens:
 * 1. The child is started as `sh -c 'read go && exec server'` in a session of its own. Ctrl-C in a terminal
 *    therefore reaches only this process, which can drain before it stops the servers that it drains into. Until it receives the go line it is only
 *    a shell that waits; if this process were killed now, its standard input would close and it would exit.
 * 2. A note of it (pid, start time, whose it is) is written to the folder of runs; see runs.ts.
 * 3. A watcher is started, again in its own session: a shell that holds the reading end of a pipe whose writing end
 *    only this process holds. When it dies, also by kill -9, the kernel closes the pipe; the watcher then stops the child, removes its
 *    temporary folder and the note. When the child ends first, this process writes a line, and the watcher exits.
 * 4. The child receives the go line, and the shell execs the server: same pid, same start time.
 *
 * Should even the watcher be killed, the note of step 2 is what a later start cleans up by.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync } from 'node:fs'
import { logTail } from './machine.ts'
import { openLog } from './private-files.ts'
import { forgetRun, noteRun } from './runs.ts'

export interface GuardedOptions {
  readonly command: string
  readonly args: readonly string[]
  /** The child's whole environment; nothing else is passed on. */
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  /** Its standard output and error are appended here; made with mode 0600, and never followed where it is a link. */
  readonly logFile: string
  /** Run as this user; only root may ask for it. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined
  /** What asks it to stop in order. */
  readonly stopSignal: NodeJS.Signals
  /** How long it may take to stop in order before it is killed. */
  readonly graceMs: number
  /** A temporary folder that the watcher removes together with the process when its owner has died. */
  readonly temporaryDir?: string | undefined
}

export interface GuardedProcess {
  readonly pid: number
  readonly running: boolean
  /** Settles once it has ended, with its exit code or the signal's name. Never rejects. */
  readonly exited: Promise<number | NodeJS.Signals>
  kill(signal: NodeJS.Signals): void
  /** Asks it to stop, then kills it after `graceMs`; resolves once it is gone. Safe to call twice. */
  stop(signal?: NodeJS.Signals): Promise<void>
}

const waitThenBecome = 'read -r go && exec "$@" </dev/null'

const watch = `
pid=$1 signal=$2 ticks=$3 dir=$4 note=$5
read -r _ && exit 0
kill -s "$signal" "$pid" 2>/dev/null
while [ "$ticks" -gt 0 ] && kill -0 "$pid" 2>/dev/null; do sleep 0.1; ticks=$((ticks - 1)); done
kill -s KILL "$pid" 2>/dev/null
[ -z "$dir" ] || rm -rf -- "$dir"
rm -f -- "$note"
`

/** Starts a process as described above. Resolves once it has received the go line; the caller checks whether it is ready. */
export async function startGuarded(options: GuardedOptions): Promise<GuardedProcess> {
  const log = openLog(options.logFile)
  const child = spawn('sh', ['-c', waitThenBecome, 'sh', options.command, ...options.args], {
    detached: true,
    cwd: options.cwd,
    env: { ...options.env },
    stdio: ['pipe', log, log],
    ...options.user,
  })
  closeSync(log)
  await once(child, 'spawn')
  const pid = pidOf(child)
  let running = true
  const exited = new Promise<number | NodeJS.Signals>(resolve => {
    child.once('exit', (code, signal) => {
      running = false
      resolve(signal ?? code ?? 0)
    })
  })

  const note = noteRun({ pid, ...options })
  const watcher = await startWatcher(pid, options, note)
  void exited.then(() => {
    watcher.stdin?.end('gone\n')
    forgetRun(note)
  })
  // An error on writing to a child that has just died is ignored, because `exited` reports its end.
  child.stdin?.on('error', () => {}).end('go\n')
  child.unref()

  const stop = async (signal: NodeJS.Signals = options.stopSignal): Promise<void> => {
    if (!running) return
    child.ref() // else an otherwise idle process would leave before it has seen the child go
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), options.graceMs)
    await exited
    clearTimeout(timer)
  }
  return {
    pid,
    get running() {
      return running
    },
    exited,
    kill: signal => void child.kill(signal),
    stop,
  }
}

/**
 * Runs a guarded process to its end.
 * @throws Error with the end of its log when it does not exit with 0.
 */
export async function runGuarded(what: string, options: GuardedOptions): Promise<void> {
  const child = await startGuarded(options)
  const keepAlive = setInterval(() => {}, 60_000) // the child itself holds nothing open
  const status = await child.exited
  clearInterval(keepAlive)
  if (status !== 0) throw new Error(`${what} failed (${status}):\n${logTail(options.logFile)}`)
}

/** A server takes seconds on an idle machine, and more than a minute on one that compiles beside it. */
const READY_WITHIN_MS = 120_000

/**
 * Asks again and again whether a server answers, until it does.
 * @param probe resolves when it answers; rejects when it does not yet.
 * @param isFinal whether an error is permanent, so that waiting is pointless.
 * @throws Error with the end of the log when the server ends first or is not ready within `timeoutMs`.
 */
export async function untilReady(
  what: string,
  child: GuardedProcess,
  options: { logFile: string; timeoutMs?: number; isFinal?: (error: unknown) => boolean },
  probe: () => Promise<void>,
): Promise<void> {
  const { timeoutMs = READY_WITHIN_MS } = options
  const deadline = performance.now() + timeoutMs
  for (;;) {
    try {
      return await probe()
    } catch (error) {
      const tail = `The end of ${options.logFile}:\n${logTail(options.logFile)}`
      if (options.isFinal?.(error)) throw error
      if (!child.running) throw new Error(`${what} ended while starting (${await child.exited}). ${tail}`)
      if (performance.now() > deadline) {
        throw new Error(`${what} did not answer within ${timeoutMs / 1000} s. ${tail}`, { cause: error })
      }
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }
}

async function startWatcher(pid: number, options: GuardedOptions, note: string): Promise<ChildProcess> {
  const ticks = String(Math.ceil(options.graceMs / 100))
  const signal = options.stopSignal.replace('SIG', '')
  const args = ['-c', watch, 'sh', String(pid), signal, ticks, options.temporaryDir ?? '', note]
  const watcher = spawn('sh', args, { detached: true, cwd: '/', stdio: ['pipe', 'ignore', 'ignore'] })
  await once(watcher, 'spawn')
  watcher.stdin?.on('error', () => {}) // the watcher was killed: the note remains for a later start
  watcher.unref()
  return watcher
}

function pidOf(child: ChildProcess): number {
  if (child.pid === undefined) throw new Error('a spawned process has no pid')
  return child.pid
}
