/** A real Zipkin server on a free port of the loopback interface: the demo's viewer of traces. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { startGuarded, untilReady } from './guarded-process.ts'
import { findJava } from './kafka-jars.ts'
import { freePorts } from './machine.ts'
import { fetchByMaven } from './maven.ts'
import { temporaryFolder } from './private-files.ts'
import { cleanLeftovers } from './runs.ts'

const VERSION = '3.6.1'
/** The artifact that includes the UI and only the in-memory storage. */
const ARTIFACT = `io.zipkin:zipkin-server:${VERSION}:jar:slim`
const FOLDER = `zipkin-${VERSION}`
const JAR = `zipkin-server-${VERSION}-slim.jar`
const COPY = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy'

/** Some minutes of a demo's traces, in this heap; older ones go. */
const MAX_SPANS = 40_000
/** Longer than any demo runs. */
const LIFE_MS = 12 * 3_600_000
const JVM_OPTIONS = [
  ...['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Djava.awt.headless=true'],
  '-XX:-UsePerfData', // else it writes a file that everybody may read below /tmp/hsperfdata_USER
]

export interface EmbeddedZipkin extends AsyncDisposable {
  /** The address of the server; its API is below `/api/v2`. */
  readonly url: string
  /** The address of the page that lists the latest traces of a service. */
  pageOf(serviceName: string): string
  readonly pid: number
}

export interface ZipkinOptions {
  /** Called with one line for each step that takes time. */
  readonly log?: (line: string) => void
  /** Gives up on the start. */
  readonly signal?: AbortSignal
}

/**
 * Starts a server and waits until it answers. Maven fetches it the first time. Its traces are in memory, and go with it.
 * @throws the signal's reason; SetupError when Java, or Maven with nothing cached, is missing; Error with the end of its log when it fails
 */
export async function startZipkin({ log = () => {}, signal }: ZipkinOptions = {}): Promise<EmbeddedZipkin> {
  await cleanLeftovers(log)
  const java = await findJava()
  const goods = {
    folder: FOLDER,
    what: `Zipkin ${VERSION}`,
    size: '86 MB',
    args: [COPY, `-Dartifact=${ARTIFACT}`],
    proof: JAR,
    otherWays: 'Or leave the viewer out, with --no-traces.',
  }
  const jars = await fetchByMaven(goods, log, signal)
  signal?.throwIfAborted()
  const dir = temporaryFolder('zipkin')
  const logFile = join(dir, 'zipkin.log')
  const [port = 0] = await freePorts(1)
  const url = `http://127.0.0.1:${port}`
  const listener = { ip: '127.0.0.1', port, 'protocols[0]': 'http' }
  const properties = Object.entries(listener).map(([name, value]) => `-Darmeria.ports[0].${name}=${value}`)
  const server = await startGuarded({
    command: java,
    args: [...JVM_OPTIONS, `-Djava.io.tmpdir=${dir}`, ...properties, '-jar', join(jars, JAR)],
    env: {
      PATH: process.env.PATH ?? '',
      HOME: dir,
      LC_ALL: 'C.UTF-8',
      STORAGE_TYPE: 'mem',
      MEM_MAX_SPANS: String(MAX_SPANS),
    },
    cwd: dir,
    logFile,
    stopSignal: 'SIGTERM',
    graceMs: 5_000,
    temporaryDir: dir,
  })
  async function dispose(): Promise<void> {
    // Nothing of it is kept.
    await server.stop('SIGKILL')
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 })
  }
  try {
    const isFinal = () => signal?.aborted === true
    await untilReady('Zipkin', server, { logFile, isFinal }, async () => {
      signal?.throwIfAborted()
      const { ok, status } = await fetch(`${url}/health`, { signal: AbortSignal.timeout(1_000) })
      if (!ok) throw new Error(`it answers ${status}`)
    })
  } catch (error) {
    await dispose()
    throw error
  }
  return {
    url,
    pageOf(serviceName) {
      // The page queries on load only when its address gives the whole time window: here the lifetime of this server.
      const window = { lookback: 'millis', millis: String(2 * LIFE_MS), endTs: String(Date.now() + LIFE_MS) }
      return `${url}/zipkin/?${new URLSearchParams({ serviceName, ...window, limit: '20' })}`
    },
    pid: server.pid,
    [Symbol.asyncDispose]: dispose,
  }
}
