import { execFile, spawn } from 'node:child_process'
import { constants } from 'node:os'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { onTestFinished } from 'vitest'
import { COMPILED } from './service.ts'
import type { FreshTopics } from './stack.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

type Configured = FreshTopics & {
  readonly brokers: string
  readonly databaseUrl: string
  readonly env?: Readonly<Record<string, string>>
  /** A folder that has installed the package: its own command runs, there. Default: this checkout. */
  readonly project?: string
  /** A checkout of another version: its own command runs, there. */
  readonly checkout?: string
}

/** A command as an operator types it, against a test's stream, with further variables in `env`. Rejects with `code`, `stdout` and `stderr` when it fails. */
export function holdfast(stream: Configured, ...args: readonly string[]): Promise<{ stdout: string; stderr: string }> {
  const { project, checkout } = stream
  const command = project === undefined ? 'bin/holdfast' : 'node_modules/.bin/holdfast'
  return promisify(execFile)(command, args, { cwd: project ?? checkout ?? ROOT, env: environment(stream) })
}

/** A command that runs for a while. Ends with the test. */
export interface RunningCommand {
  /** Its output so far, on stderr and on stdout. */
  readonly said: () => { readonly stderr: string; readonly stdout: string }
  kill(signal: NodeJS.Signals): void
  /** Its exit code; 137 and the like when a signal ended it. */
  readonly exited: Promise<number>
}

export function startHoldfast(stream: Configured, ...args: readonly string[]): RunningCommand {
  // Not by the shim: signals must reach it, and nothing else.
  const child = spawn(process.execPath, ['src/cli/main.ts', ...args], {
    cwd: ROOT,
    env: environment(stream),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = { stderr: '', stdout: '' }
  child.stderr.on('data', (chunk: Buffer) => {
    said.stderr += chunk
  })
  child.stdout.on('data', (chunk: Buffer) => {
    said.stdout += chunk
  })
  const exited = new Promise<number>(resolve => {
    child.once('close', (code, signal) => resolve(code ?? 128 + (constants.signals[signal ?? 'SIGKILL'] ?? 9)))
  })
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await exited
  })
  return { said: () => said, kill: signal => void child.kill(signal), exited }
}

function environment(stream: Configured): NodeJS.ProcessEnv {
  return {
    PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
    ...COMPILED,
    KAFKA_BROKERS: stream.brokers,
    KAFKA_TOPIC: stream.topic,
    KAFKA_DLQ_TOPIC: stream.dlqTopic,
    KAFKA_GROUP_ID: stream.groupId,
    DATABASE_URL: stream.databaseUrl,
    ...stream.env,
  }
}
