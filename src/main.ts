import type { App, Role } from './app.ts'
import { StreamError } from './engine/errors.ts'
import { NO_TRACING, type Tracing } from './engine/tracing.ts'
import { type AdminKeyFile, writeAdminKey } from './http/admin-key.ts'
import { type Config, loadConfig } from './settings/config.ts'
import { misspeltSettings, tidyEnvironment } from './settings/environment.ts'
import { loadStreams, type Streams } from './settings/streams.ts'
import { createLogger } from './telemetry/logger.ts'
import { startTracing } from './telemetry/tracing-start.ts'
import { tellOfTracing } from './telemetry/tracing-warnings.ts'
import { VERSION } from './version.ts'

/** As `bin/holdfast` has it, which says why; for a start without it. */
process.env.UV_THREADPOOL_SIZE ??= '32'

/**
 * The process of the service: signals become `stop()`, the end becomes an exit code. The app is imported here and not above:
 * tracing must be there first.
 * @param roles default: all
 * @returns 0 after SIGTERM or SIGINT, 1 when the process or its last stream failed
 */
export async function runService(config: Config, streams: Streams, roles?: ReadonlySet<Role>): Promise<number> {
  let tracing: Tracing = NO_TRACING
  const logger = createLogger({
    levels: config.logLevels,
    colour: !process.env.NO_COLOR,
    activeTrace: () => tracing.active(),
  })
  const log = logger.of('process')
  const traces = await startTracing(
    process.env,
    { name: 'holdfast', version: VERSION, statements: true },
    tellOfTracing(logger),
  )
  tracing = traces.tracing
  const { ROLES, startApp } = await import('./app.ts')
  let app: App | undefined
  let stopRequested = false

  function onSignal(signal: NodeJS.Signals): void {
    if (stopRequested) killSelf(`second ${signal}: stopping at once`)
    stopRequested = true
    log.info({ event: 'signal', signal }, `${signal}: draining`)
    armWatchdog()
    void app?.stop()
  }

  function armWatchdog(): void {
    setTimeout(
      () => killSelf(`not stopped within SHUTDOWN_TIMEOUT_MS (${config.shutdownTimeoutMs} ms): stopping anyway`),
      config.shutdownTimeoutMs,
    ).unref()
  }

  /** `process.exit()` joins native threads and may hang on one; nothing settled is lost by a kill. */
  function killSelf(why: string): never {
    log.warn({ event: 'killed' }, why)
    process.kill(process.pid, 'SIGKILL')
    throw new Error('unreachable')
  }

  /** An uncaught error leaves the process in an unknown state, and a normal exit would join threads that may hang. */
  function onUncaught(error: unknown): void {
    // Only its kind and place: the message may quote an order.
    const stack = error instanceof Error ? error.stack?.split('\n').filter(line => /^ +at /.test(line)) : undefined
    log.fatal(
      { event: 'uncaught', type: error instanceof Error ? error.name : typeof error, stack },
      'unforeseen error',
    )
    killSelf('an uncaught error: ending at once, what was in flight is read again')
  }

  /** The key goes to the terminal and into a file that only this user can read; logs have more readers. */
  function handOver(key: string): AdminKeyFile | undefined {
    if (process.stderr.isTTY) process.stderr.write(`admin key of this run: ${key}\n`)
    try {
      const file = writeAdminKey(key)
      log.info(
        { event: 'admin_key_made', file: file.path },
        `made a key for the role admin, because API_KEYS names none: it is in ${file.path} until the end of this run`,
      )
      return file
    } catch (error) {
      log.warn(
        { event: 'admin_key_not_written', error },
        'the key for the role admin could not be written to a file: start it in a terminal, or set API_KEYS',
      )
      return undefined
    }
  }

  process.on('uncaughtException', onUncaught)
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  app = await startApp(config, streams, roles ?? new Set(ROLES), logger, tracing)
  using _keyFile = app.adminKey === undefined ? undefined : handOver(app.adminKey)
  if (stopRequested) await app.stop()
  let exitCode = 0
  try {
    await app.finished
  } catch (error) {
    // Our own errors hold no payload; those of libraries may quote a value.
    log.fatal({ event: 'failed', error }, error instanceof StreamError ? error.message : 'the stream failed')
    exitCode = 1
    armWatchdog()
  }
  await app.stop()
  await traces.stop()
  process.off('uncaughtException', onUncaught)
  // Signals stay ours to the end: one that comes now would end us by its default, as if nothing had been closed.
  return exitCode
}

if (import.meta.main) {
  for (const text of [...tidyEnvironment(process.env), ...misspeltSettings(process.env)]) {
    process.stderr.write(`warning: ${text}\n`)
  }
  const config = loadConfig(process.env)
  process.exit(await runService(config, await loadStreams(config, process.env)))
}
