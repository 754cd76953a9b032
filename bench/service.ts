/** The service as its users run it, a process of its own. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { type GuardedProcess, startGuarded } from '#tools/demo/servers/guarded-process.ts'
import type { Servers } from './servers.ts'

/** A topic, and the group as which the service consumes it. */
export interface Consumed {
  readonly topic: string
  readonly dlqTopic: string
  readonly groupId: string
  /** The next offset of each partition. */
  readonly ends: readonly bigint[]
}

export interface ServiceOptions {
  /** The checkout whose `bin/holdfast` is started. */
  readonly checkout: string
  readonly databaseUrl: string
  /** The topic of orders. */
  readonly orders: Consumed
  /** Settings that differ from the defaults. */
  readonly settings: Readonly<Record<string, string>>
  /** Its log goes here. */
  readonly logFile: string
  /** Flags of Node. */
  readonly nodeFlags: readonly string[]
}

export async function startService(servers: Servers, options: ServiceOptions): Promise<GuardedProcess> {
  return await startGuarded({
    command: commandOf(options),
    args: ['serve'],
    // Runs in another folder, because a .env of the checkout holds the developer's settings and would be read from the working directory.
    cwd: dirname(options.logFile),
    env: environmentOf(servers, options),
    logFile: options.logFile,
    stopSignal: 'SIGTERM',
    graceMs: 30_000,
  })
}

/** Runs a command of the service with its settings. @throws Error when it does not exit with 0 */
export async function runCommand(servers: Servers, options: ServiceOptions, args: readonly string[]): Promise<void> {
  await promisify(execFile)(commandOf(options), [...args], {
    cwd: dirname(options.logFile),
    env: { ...environmentOf(servers, options), NODE_OPTIONS: '' },
  })
}

/** When the service was given partitions for the first time, in ms since the epoch. */
export function assignedAt(logFile: string): number | undefined {
  for (const line of linesWith(logFile, 'assigned')) {
    const { time, positions } = JSON.parse(line) as { time: string; positions?: unknown[] }
    if (positions === undefined || positions.length > 0) return Date.parse(time)
  }
  return undefined
}

/** Where it serves `/metrics`. */
export function addressOf(logFile: string): string | undefined {
  const [line] = linesWith(logFile, 'http_started')
  return line === undefined ? undefined : (JSON.parse(line) as { url: string }).url
}

function linesWith(logFile: string, event: string): string[] {
  const lines = readFileSync(logFile, 'utf8').split('\n')
  return lines.filter(line => line.includes(`"event":"${event}"`))
}

function commandOf({ checkout }: ServiceOptions): string {
  return join(checkout, 'bin', 'holdfast')
}

function environmentOf(servers: Servers, options: ServiceOptions): Record<string, string> {
  const { settings, orders } = options
  return {
    // The shim uses the first suitable Node on the PATH: this one.
    PATH: `${dirname(process.execPath)}:${process.env.PATH ?? ''}`,
    HOME: process.env.HOME ?? '',
    ...settings,
    NODE_OPTIONS: [...options.nodeFlags, settings.NODE_OPTIONS ?? ''].join(' ').trim(),
    KAFKA_BROKERS: servers.brokers,
    KAFKA_TOPIC: orders.topic,
    KAFKA_DLQ_TOPIC: orders.dlqTopic,
    KAFKA_GROUP_ID: orders.groupId,
    DATABASE_URL: options.databaseUrl,
    HTTP_PORT: '0',
  }
}
