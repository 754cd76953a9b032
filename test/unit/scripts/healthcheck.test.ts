import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'

const SCRIPT = fileURLToPath(new URL('../../../scripts/healthcheck.ts', import.meta.url))

/** A service that answers its probes with these. @returns its port */
async function aService(answers: Readonly<Record<string, number>>): Promise<string> {
  const server = createServer((req, res) => res.writeHead(answers[req.url ?? ''] ?? 404).end('{"status":"…"}'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return String((server.address() as AddressInfo).port)
}

async function exitCode(env: Readonly<Record<string, string>>, ...args: string[]): Promise<number> {
  const child = spawn(process.execPath, [SCRIPT, ...args], { env, stdio: 'ignore' })
  const [code] = (await once(child, 'exit')) as [number]
  return code
}

/** Whether it passes; asked again where this machine stood still for the four seconds that it waits. */
async function passes(env: Readonly<Record<string, string>>): Promise<boolean> {
  for (let attempt = 0; attempt < 3; attempt++) if ((await exitCode(env)) === 0) return true
  return false
}

it('passes while /livez holds, and fails when it does not', async () => {
  expect(await passes({ HTTP_PORT: await aService({ '/livez': 200 }) })).toBe(true)
  expect(await exitCode({ HTTP_PORT: await aService({ '/livez': 503, '/readyz': 200 }) })).toBe(1)
})

it('asks another probe when it is named', async () => {
  const port = await aService({ '/livez': 200, '/readyz': 503 })
  expect(await exitCode({ HTTP_PORT: port }, '/readyz')).toBe(1)
})

it('fails when nobody answers', async () => {
  expect(await exitCode({ HTTP_HOST: '0.0.0.0', HTTP_PORT: '1' })).toBe(1)
})

it('prefers the port that is there whatever the role', async () => {
  const port = await aService({ '/livez': 200 })
  expect(await passes({ HTTP_PORT: '1', METRICS_HOST: '0.0.0.0', METRICS_PORT: port })).toBe(true)
  expect(await passes({ HTTP_PORT: port, METRICS_PORT: '' })).toBe(true)
})
