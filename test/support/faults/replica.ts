import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream, mkdirSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** One place in the crew: the service as a process of its own, started again after each fault that ends it. */
export interface Replica {
  readonly slot: number
  readonly pid: number
  /** Where it listens; `undefined` while it does not. */
  readonly url: string | undefined
  /** What it must be doing: `running` is the only state in which it must answer requests. */
  readonly state: 'running' | 'frozen' | 'leaving' | 'gone'
  /** Resolves once it listens; it may not be ready yet. */
  start(): Promise<void>
  freeze(): void
  thaw(): void
  /** SIGKILL. */
  kill(): Promise<void>
  /**
   * SIGTERM, and a second one after `secondAfterMs` when that is given.
   * @returns the exit code (137 when it was killed, by itself or by us) and how long that took.
   */
  terminate(secondAfterMs?: number): Promise<{ readonly code: number; readonly tookMs: number }>
}

export interface ReplicaOptions {
  readonly slot: number
  readonly env: Readonly<Record<string, string>>
  /** Its log goes here, one file a slot over all its lives. */
  readonly logDir: string
  /** Called when the replica ended without a request to stop. */
  readonly onDeath: (replica: Replica, code: number, lastLines: readonly string[]) => void
}

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const START_TIMEOUT_MS = 60_000
const LINES_KEPT = 15

export function createReplica({ slot, env, logDir, onDeath }: ReplicaOptions): Replica {
  mkdirSync(logDir, { recursive: true })
  const logFile = join(logDir, `replica-${slot}.log`)
  let child: ChildProcess | undefined
  let exited: Promise<number> = Promise.resolve(0)
  let url: string | undefined
  let state: Replica['state'] = 'gone'

  async function start(): Promise<void> {
    if (state !== 'gone') throw new Error(`replica ${slot} is still ${state}`)
    const started = spawn(process.execPath, ['src/main.ts'], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, HTTP_PORT: '0', ...env },
      // A Ctrl-C at the terminal is the run's to handle: it must not look like a death.
      detached: true,
    })
    child = started
    state = 'running'
    const log = createWriteStream(logFile, { flags: 'a' })
    const lines: string[] = []
    const listening = Promise.withResolvers<string>()
    createInterface({ input: started.stdout }).on('line', line => {
      log.write(`${line}\n`)
      lines.push(line)
      if (lines.length > LINES_KEPT) lines.shift()
      const address = /"event":"http_started".*"url":"([^"]+)"/.exec(line)?.[1]
      if (address !== undefined) listening.resolve(address)
    })
    createInterface({ input: started.stderr }).on('line', line => {
      log.write(`stderr: ${line}\n`)
      lines.push(line)
    })
    exited = new Promise<number>(resolve => {
      // Not `exit`: a line that comes after it would be written to a log that is closed.
      started.once('close', (code, signal) => {
        const wasAsked = state === 'leaving'
        state = 'gone'
        url = undefined
        log.end()
        listening.reject(new Error(`replica ${slot} ended before it listened`))
        const exitCode = code ?? 128 + (signal === null ? 0 : constants.signals[signal])
        if (!wasAsked) onDeath(replica, exitCode, lines)
        resolve(exitCode)
      })
    })
    const timer = setTimeout(() => listening.reject(new Error(`replica ${slot} does not listen`)), START_TIMEOUT_MS)
    try {
      url = await listening.promise
    } finally {
      clearTimeout(timer)
    }
  }

  const replica: Replica = {
    slot,
    get pid() {
      return child?.pid ?? 0
    },
    get url() {
      return url
    },
    get state() {
      return state
    },
    start,
    freeze() {
      if (state !== 'running') return
      state = 'frozen'
      child?.kill('SIGSTOP')
    },
    thaw() {
      if (state !== 'frozen') return
      state = 'running'
      child?.kill('SIGCONT')
    },
    async kill() {
      if (state === 'gone') return
      state = 'leaving'
      child?.kill('SIGKILL')
      await exited
    },
    async terminate(secondAfterMs) {
      if (state === 'gone') return { code: 0, tookMs: 0 }
      const from = performance.now()
      state = 'leaving'
      child?.kill('SIGTERM')
      const second = secondAfterMs === undefined ? undefined : setTimeout(() => child?.kill('SIGTERM'), secondAfterMs)
      const code = await exited
      clearTimeout(second)
      return { code, tookMs: performance.now() - from }
    },
  }
  return replica
}
