/**
 * Asks the service in this container whether a restart would help (`/livez`), or with `/readyz` as argument whether it
 * is ready. Exit code 0: it is healthy; 1: it is not, or does not answer. For HEALTHCHECK, because the image has no curl.
 */
const TIMEOUT_MS = 4_000

/** The health port is preferred: it needs no key, reports the reason, and is open in every role. */
function address(env: NodeJS.ProcessEnv): string {
  const own = env.METRICS_PORT !== undefined && env.METRICS_PORT !== ''
  const host = (own ? env.METRICS_HOST : env.HTTP_HOST) || '127.0.0.1'
  const port = (own ? env.METRICS_PORT : env.HTTP_PORT) || '8081'
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return `${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`
}

const url = `http://${address(process.env)}${process.argv[2] ?? '/livez'}`
try {
  const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) })
  console.log(await response.text())
  process.exitCode = response.ok ? 0 : 1
} catch (error) {
  const { message, cause } = error as Error
  console.log(`no answer from ${url}: ${cause instanceof Error ? cause.message : message}`)
  process.exitCode = 1
}
