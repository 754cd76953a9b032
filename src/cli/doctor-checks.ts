import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { ConfigError, UsageError } from '../engine/errors.ts'
import { type Finding, messageOf } from './doctor-finding.ts'
import { notifyFindings } from './doctor-notify.ts'
import { postgresFindings } from './doctor-postgres.ts'
import { loadSetup, namedOrAll, type Setup } from './streams.ts'

export type { Finding } from './doctor-finding.ts'

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Checks everything that a start needs, changes nothing, and continues after what fails.
 * @param name of a stream: only its group and topics are checked. Default: those of all streams
 */
export async function* examine(env: Environment, name?: string): AsyncGenerator<Finding> {
  yield await nodeVersion()
  const native = await nativeClient()
  yield native
  let setup: Setup
  try {
    setup = await loadSetup(env)
    yield { name: 'settings', ok: true, detail: 'valid' }
  } catch (error) {
    yield* settingsProblems(error)
    return
  }
  const { config } = setup
  const streams = namedOrAll(setup, name)
  yield await port('HTTP_PORT', config.http.host, config.http.port)
  if (config.metrics.port !== undefined) yield await port('METRICS_PORT', config.metrics.host, config.metrics.port)
  if (native.ok) {
    // Imported only now: without the native client it could not be.
    const { kafkaFindings } = await import('./doctor-kafka.ts')
    yield* kafkaFindings(config, streams)
  } else yield { name: 'kafka', ok: false, detail: 'could not be asked without the native client' }
  yield* postgresFindings(config, streams)
  yield* notifyFindings(config)
}

/** What is wrong with settings or definitions of streams that were refused. */
function* settingsProblems(error: unknown): Generator<Finding> {
  if (error instanceof ConfigError) {
    for (const problem of error.problems) {
      yield { name: 'settings', ok: false, detail: problem, fix: 'correct it in the environment or in .env' }
    }
  } else if (error instanceof UsageError) {
    yield { name: 'streams', ok: false, detail: error.message, fix: 'correct the file that lists the streams' }
  } else throw error
}

async function nodeVersion(): Promise<Finding> {
  const manifest: { engines: { node: string } } = JSON.parse(
    await readFile(new URL('../../package.json', import.meta.url), 'utf8'),
  )
  const wanted = manifest.engines.node
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const [from = 0, fromMinor = 0, below = 0] = (wanted.match(/\d+/g) ?? []).map(Number)
  const ok = (major > from || (major === from && minor >= fromMinor)) && major < below
  return {
    name: 'node',
    ok,
    detail: `${process.version} (${wanted})`,
    ...(ok ? {} : { fix: 'run "make setup", which installs the right one' }),
  }
}

/** Each is needed by some clusters; a build without the library lacks it. */
const NEEDED_FEATURES = ['ssl', 'sasl_scram', 'lz4', 'zstd'] as const

async function nativeClient(): Promise<Finding> {
  const name = 'native client'
  try {
    const { nativeFeatures } = await import('../engine/kafka/client.ts')
    const { version, features } = nativeFeatures()
    const missing = NEEDED_FEATURES.filter(feature => !features.includes(feature))
    if (missing.length === 0) return { name, ok: true, detail: `librdkafka ${version}` }
    return {
      name,
      ok: false,
      detail: `librdkafka ${version} was built without ${missing.join(', ')}`,
      fix: 'install the libraries that README.md names under Requirements, delete node_modules and run "make setup"',
    }
  } catch (error) {
    return { name, ok: false, detail: messageOf(error), fix: 'run "make setup", which compiles it where necessary' }
  }
}

async function port(setting: string, host: string, number: number): Promise<Finding> {
  const name = setting === 'HTTP_PORT' ? 'port' : 'metrics port'
  if (number === 0) return { name, ok: true, detail: 'any free one' }
  const taken = await new Promise<NodeJS.ErrnoException | undefined>(resolve => {
    const server = createServer()
    server.once('error', resolve)
    server.listen(number, host, () => server.close(() => resolve(undefined)))
  })
  if (taken === undefined) return { name, ok: true, detail: `${host}:${number} is free` }
  if (taken.code === 'EADDRINUSE' && (await isHoldfast(host, number))) {
    return { name, ok: true, detail: `${host}:${number} is in use, by Holdfast` }
  }
  return {
    name,
    ok: false,
    detail: `${host}:${number} cannot be listened on (${taken.code ?? taken.message})`,
    fix: `set ${setting} to another one, or to 0 for any free one`,
  }
}

async function isHoldfast(host: string, number: number): Promise<boolean> {
  const address = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host
  try {
    const answer = await fetch(`http://${address}:${number}/livez`, { signal: AbortSignal.timeout(2_000) })
    return typeof ((await answer.json()) as { status?: unknown }).status === 'string'
  } catch {
    return false
  }
}
