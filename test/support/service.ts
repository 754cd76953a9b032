import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { onTestFailed, onTestFinished } from 'vitest'
import { type FreshTopics, kafkaBrokers } from './stack.ts'

/** The service as its users run it: a process of its own. Ends with the test. */
export interface Service {
  readonly url: string
  readonly pid: number
  /** Lines of its log so far, parsed. */
  readonly log: readonly LogLine[]
  /** All that it has written so far, to stdout and to stderr, as it stands. */
  readonly output: readonly string[]
  /** The sum of a metric's samples on `/metrics` that have all of these labels. The prefix is added. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>
  /** SIGTERM, and the exit code (137 and the like when a signal ended it). */
  stop(): Promise<number>
  kill(signal: NodeJS.Signals): void
  /** Resolves with the exit code, whenever it ends; all that it wrote is in `log` by then. */
  readonly exited: Promise<number>
}

export interface LogLine {
  readonly event?: string
  readonly msg?: string
  readonly [field: string]: unknown
}

export interface ServiceOptions extends FreshTopics {
  readonly databaseUrl: string
  readonly brokers?: string
  /** Default: all. */
  readonly roles?: readonly ('consumer' | 'api' | 'jobs')[]
  /** Default: all of the project. */
  readonly streams?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** File descriptors that it may have open at a time (`ulimit -n`). Default: as many as this process. */
  readonly openFiles?: number
  /** A folder that has installed the package: its own command runs, there. Default: this checkout. */
  readonly project?: string
  /** A checkout of another version: its own command runs, there. */
  readonly checkout?: string
}

const LINES_OF_A_FAILURE = 40
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** Hundreds of processes of the same code are started: each finds there what the one before it has compiled, and starts in half the time. */
export const COMPILED = { NODE_COMPILE_CACHE: `${ROOT}node_modules/.cache/compiled` } as const

/** Starts it and waits until it listens; it may not be ready yet. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const { roles, streams, project, checkout } = options
  const flags = [
    ...(roles === undefined ? [] : ['--roles', roles.join()]),
    ...(streams === undefined ? [] : ['--streams', streams.join()]),
  ]
  const script = flags.length === 0 ? ['src/main.ts'] : ['src/cli/main.ts', 'serve', ...flags]
  const program =
    project !== undefined
      ? ['node_modules/.bin/holdfast', 'serve']
      : checkout !== undefined
        ? ['bin/holdfast', 'serve', ...flags]
        : [process.execPath, ...script]
  // The shell sets the limit and then becomes the service: same process, same signals.
  const limited = ['/bin/sh', '-c', `ulimit -n ${options.openFiles} && exec "$@"`, 'sh', ...program]
  const [command = '', ...args] = options.openFiles === undefined ? program : limited
  const child = spawn(command, args, {
    cwd: project ?? checkout ?? ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
      ...COMPILED,
      KAFKA_BROKERS: options.brokers ?? kafkaBrokers(),
      KAFKA_TOPIC: options.topic,
      KAFKA_DLQ_TOPIC: options.dlqTopic,
      KAFKA_GROUP_ID: options.groupId,
      KAFKA_TOPIC_PARTITIONS: '3',
      DATABASE_URL: options.databaseUrl,
      HTTP_PORT: '0',
      ...options.env,
    },
  })
  const exited = endOf(child)
  onTestFinished(async () => {
    child.kill('SIGCONT')
    child.kill('SIGKILL')
    await exited
  })
  const log: LogLine[] = []
  const output: string[] = []
  child.stderr.on('data', (said: Buffer) => {
    output.push(said.toString())
    process.stderr.write(said)
  })
  onTestFailed(() => {
    const lines = log.slice(-LINES_OF_A_FAILURE).map(line => JSON.stringify(line))
    console.error(`the end of the log of service ${child.pid}:\n${lines.join('\n')}`)
  })
  const listening = Promise.withResolvers<string>()
  createInterface({ input: child.stdout }).on('line', line => {
    const parsed = parse(line)
    log.push(parsed)
    output.push(line)
    if (parsed.event === 'http_started') listening.resolve(String(parsed.url))
  })
  void exited.then(code =>
    listening.reject(new Error(`the service ended with ${code}: ${JSON.stringify(log.slice(-5))}`)),
  )
  // A service that is expected to fail before it listens is looked at through `exited` and `log`.
  const url = await listening.promise
  return {
    url,
    pid: child.pid ?? 0,
    log,
    output,
    exited,
    kill: signal => child.kill(signal),
    metric: async (name, labels) => sumOf(await (await get(`${url}/metrics`)).text(), `holdfast_${name}`, labels ?? {}),
    async stop() {
      child.kill('SIGTERM')
      return await exited
    },
  }
}

/** The key of the role admin that a service without API_KEYS has made, out of the file that its log names. */
export async function adminKeyOf(service: Pick<Service, 'log'>): Promise<string> {
  const made = () => service.log.find(({ event }) => event === 'admin_key_made')
  const { file } = await eventually(made, 'a key for the role admin being made')
  return (await readFile(String(file), 'utf8')).trim()
}

/** `close` and not `exit`: by then its last lines have been read as well, and a test may look for them. */
async function endOf(child: ChildProcess): Promise<number> {
  const [code] = (await once(child, 'close')) as [number | null]
  return code ?? 137
}

function sumOf(page: string, name: string, labels: Readonly<Record<string, string>>): number {
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`)
  return page
    .split('\n')
    .filter(line => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    .filter(line => wanted.every(label => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
}

function parse(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine
  } catch {
    return { msg: line }
  }
}

/** Waits for a fact of the world; the bound only ends a broken test, also on a machine that is busy with others. */
export async function eventually<R>(
  look: () => Promise<R | undefined | false> | R | undefined | false,
  what: string,
  timeoutMs = 90_000,
  everyMs = 50,
): Promise<R> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    if (performance.now() > deadline) throw new Error(`within ${timeoutMs} ms it never came to: ${what}`)
    await new Promise<void>(resolve => setTimeout(resolve, everyMs))
  }
}

/** On a connection of its own: one that was kept may be closed by the service in the very moment in which it is used again. */
function get(url: string): Promise<Response> {
  return fetch(url, { headers: { Connection: 'close' } })
}

/** An endpoint as a probe or an operator sees it. */
export async function ask(service: Service, path: string): Promise<{ readonly status: number; readonly body: string }> {
  const response = await get(`${service.url}${path}`)
  return { status: response.status, body: await response.text() }
}

export async function isReady(service: Service): Promise<boolean> {
  const response = await get(`${service.url}/readyz`).catch(() => undefined)
  return response?.status === 200
}
