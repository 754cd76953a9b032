/** A real Prometheus on a free port of the loopback interface, for demo and tests. */
import { rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startGuarded, untilReady } from './guarded-process.ts'
import { freePorts } from './machine.ts'
import { keptFolder, temporaryFolder, writePrivate } from './private-files.ts'
import { requirePrometheus } from './prometheus-binaries.ts'
import { cleanLeftovers } from './runs.ts'

export interface ScrapeTarget {
  /** Where its `/metrics` is: `http://127.0.0.1:8081`. */
  readonly url: string
  /** Put on each of its series, as `{replica: 'a'}`. */
  readonly labels?: Readonly<Record<string, string>>
}

export interface PrometheusOptions {
  readonly targets: readonly ScrapeTarget[]
  /** All `*.yml` in it are loaded as rules. */
  readonly rulesDir?: string | undefined
  /** Between two scrapes, and between two evaluations of the rules. Default: 1,000. */
  readonly intervalMs?: number | undefined
  /** Keeps its data here between runs; without it, a temporary folder that is removed with the server. */
  readonly dir?: string | undefined
  /** Called with one line for each step that takes time. */
  readonly log?: ((line: string) => void) | undefined
}

/** One series of an answer. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  /** May be NaN or infinite: a ratio of nothing, a quantile beyond the last bucket. */
  readonly value: number
}

export interface EmbeddedPrometheus extends AsyncDisposable {
  /** Its pages, and its API below `/api/v1`. */
  readonly url: string
  /** Its page with a graph of an expression, over the last minutes. */
  graphOf(promql: string): string
  readonly pid: number
  readonly dir: string
  readonly logFile: string
  /**
   * Evaluates an expression now.
   * @returns the series of the answer; none is an answer, too. A scalar comes as a series without labels.
   * @throws Error with Prometheus's error message
   */
  query(promql: string): Promise<Sample[]>
  /**
   * Resolves once every target was scraped with success after this call, `times` in a row.
   * @throws Error that names the target and its failure, when that takes longer than a minute
   */
  scraped(times?: number): Promise<void>
  /** As `kill -s`. Does not wait. */
  kill(signal: NodeJS.Signals): void
  /** Stops it; its folder stays. Safe to call twice. */
  stop(): Promise<void>
  /** Stops it for good; a temporary folder is removed as well. */
  [Symbol.asyncDispose](): Promise<void>
}

/** The name of the job in `prometheus/prometheus.yml`, which rules and dashboards know it by. */
const JOB = 'holdfast'
const SCRAPED_WITHIN_MS = 60_000

/**
 * Starts a server and waits until it answers.
 * @throws SetupError when it is not installed; Error with the end of its log when it fails, as on rules that it refuses
 */
export async function startPrometheus(options: PrometheusOptions): Promise<EmbeddedPrometheus> {
  await cleanLeftovers(options.log)
  const { program, args } = requirePrometheus()
  const temporary = options.dir === undefined
  const dir = options.dir === undefined ? temporaryFolder('prometheus') : resolve(options.dir)
  keptFolder(dir)
  const configFile = join(dir, 'prometheus.yml')
  writePrivate(configFile, configOf(options))
  const logFile = join(dir, 'prometheus.log')
  const [port = 0] = await freePorts(1)
  const url = `http://127.0.0.1:${port}`
  const server = await startGuarded({
    command: program,
    args: [
      ...args,
      `--config.file=${configFile}`,
      `--storage.tsdb.path=${join(dir, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--enable-feature=exemplar-storage',
      '--log.level=warn', // else a failure is lost among the log lines of its shutdown
    ],
    env: { PATH: process.env.PATH ?? '', HOME: dir },
    cwd: dir,
    logFile,
    stopSignal: 'SIGTERM',
    graceMs: 10_000,
    temporaryDir: temporary ? dir : undefined,
  })
  const dispose = async (): Promise<void> => {
    await server.stop(temporary ? 'SIGKILL' : undefined)
    if (temporary) rmSync(dir, { recursive: true, force: true, maxRetries: 3 })
  }
  try {
    await untilReady('Prometheus', server, { logFile }, async () => {
      const { ok, status } = await fetch(`${url}/-/ready`, { signal: AbortSignal.timeout(1_000) })
      if (!ok) throw new Error(`it answers ${status}`)
    })
  } catch (error) {
    await dispose()
    throw error
  }

  return {
    url,
    // Newer versions have moved this page and redirect from this address.
    graphOf: promql =>
      `${url}/graph?${new URLSearchParams({ 'g0.expr': promql, 'g0.tab': '0', 'g0.range_input': '15m' })}`,
    pid: server.pid,
    dir,
    logFile,
    query: promql => query(url, promql),
    async scraped(times = 1) {
      for (let n = 0; n < times; n++) await nextScrape(url, Date.now())
    },
    kill: signal => server.kill(signal),
    stop: () => server.stop(),
    [Symbol.asyncDispose]: dispose,
  }
}

/** JSON is YAML, too. */
function configOf({ targets, rulesDir, intervalMs = 1_000 }: PrometheusOptions): string {
  const interval = `${intervalMs}ms`
  return JSON.stringify({
    global: { scrape_interval: interval, scrape_timeout: interval, evaluation_interval: interval },
    ...(rulesDir === undefined ? {} : { rule_files: [join(resolve(rulesDir), '*.yml')] }),
    scrape_configs: [
      {
        job_name: JOB,
        static_configs: targets.map(({ url, labels }) => ({ targets: [new URL(url).host], labels: labels ?? {} })),
      },
    ],
  })
}

interface VectorAnswer {
  readonly resultType: 'vector'
  readonly result: readonly { readonly metric: Readonly<Record<string, string>>; readonly value: [number, string] }[]
}

interface ScalarAnswer {
  readonly resultType: 'scalar'
  readonly result: [number, string]
}

async function query(url: string, promql: string): Promise<Sample[]> {
  const body = new URLSearchParams({ query: promql })
  const answer = await api<VectorAnswer | ScalarAnswer | { readonly resultType: 'matrix' | 'string' }>(
    `${url}/api/v1/query`,
    { method: 'POST', body },
  ).catch(error => {
    throw new Error(`${promql}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  })
  switch (answer.resultType) {
    case 'vector':
      return answer.result.map(({ metric, value }) => ({ labels: metric, value: numberOf(value[1]) }))
    case 'scalar':
      return [{ labels: {}, value: numberOf(answer.result[1]) }]
    default:
      throw new Error(`${promql}: it gives a ${answer.resultType}, not one value for each series`)
  }
}

/** Prometheus writes `+Inf`, `-Inf` and `NaN`. */
function numberOf(text: string): number {
  return Number(text.replace('Inf', 'Infinity'))
}

interface TargetsAnswer {
  readonly activeTargets: readonly {
    readonly scrapeUrl: string
    readonly health: 'up' | 'down' | 'unknown'
    readonly lastError: string
    /** RFC 3339; of the year 1 before the first. */
    readonly lastScrape: string
  }[]
}

async function nextScrape(url: string, afterMs: number): Promise<void> {
  for (;;) {
    const { activeTargets } = await api<TargetsAnswer>(`${url}/api/v1/targets?state=active`)
    // It starts without targets, and finds those of its config a moment later.
    const missing = activeTargets.find(({ health, lastScrape }) => health !== 'up' || Date.parse(lastScrape) <= afterMs)
    if (activeTargets.length > 0 && missing === undefined) return
    if (Date.now() - afterMs > SCRAPED_WITHIN_MS) {
      throw new Error(
        `${missing?.scrapeUrl ?? 'no target'} was not scraped: ${missing?.lastError || 'no reason given'}`,
      )
    }
    await sleep(50)
  }
}

async function api<Answer>(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(30_000) })
  const answer = (await response.json()) as
    | { readonly status: 'success'; readonly data: Answer }
    | { readonly status: 'error'; readonly error: string }
  if (answer.status === 'error') throw new Error(answer.error)
  return answer.data
}
