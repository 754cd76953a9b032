import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { startHoldfast } from '../support/cli.ts'
import { eventually } from '../support/service.ts'

/** A server of somebody's production, which counts who comes. */
async function production(): Promise<{ readonly port: number; readonly callers: () => number }> {
  let callers = 0
  const server = createServer(socket => {
    callers += 1
    socket.on('error', () => {})
  }).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await new Promise(done => server.once('listening', done))
  return { port: (server.address() as AddressInfo).port, callers: () => callers }
}

const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8)

it('starts servers of its own whatever the environment names, and prints how another shell finds them', async () => {
  // Given an environment and a .env that name servers of production
  const theirs = await production()
  const named = {
    brokers: `127.0.0.1:${theirs.port}`,
    databaseUrl: `postgres://app:geheim@127.0.0.1:${theirs.port}/shop`,
    topic: 'shop.orders',
    dlqTopic: 'shop.orders.dlq',
    groupId: 'shop',
  }
  const settings = {
    KAFKA_SECURITY_PROTOCOL: 'ssl',
    PGSSLMODE: 'require',
    API_KEYS: `ops:admin:${'0'.repeat(64)}`,
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${theirs.port}`,
  }
  const elsewhere = mkdtempSync(join(tmpdir(), 'holdfast-env-'))
  onTestFinished(() => rmSync(elsewhere, { recursive: true }))
  const file = { ...settings, KAFKA_BROKERS: named.brokers, KAFKA_TOPIC: named.topic, DATABASE_URL: named.databaseUrl }
  writeFileSync(
    join(elsewhere, '.env'),
    Object.entries(file)
      .map(entry => `${entry.join('=')}\n`)
      .join(''),
  )

  // When the demo is started there
  const demo = startHoldfast({ ...named, env: settings }, 'demo', '--no-traces', '--rate', '20/s')
  const stderr = () => demo.said().stderr
  const exported = await eventually(() => /^export .*$/m.exec(stderr())?.[0], 'its line for another shell')

  // Then it has said what it does not use, and what was starting
  const [start = ''] = stderr().split('Search page')
  expect(start).toMatch(/^API_KEYS, DATABASE_URL, KAFKA_BROKERS, KAFKA_DLQ_TOPIC,.* are set and not used: .*--use-env/)
  const steps = ['starting Kafka …', 'starting PostgreSQL …', 'migrating the database …', 'starting the service …']
  expect(steps.map(step => start.indexOf(step))).toEqual(
    steps.map(step => start.indexOf(step)).toSorted((a, b) => a - b),
  )
  for (const step of steps) expect(start).toContain(step)
  expect(start).not.toContain('settled')

  // And the printed line is all that the other commands need, in a folder with that .env
  const lag = `${exported}; exec ${resolve('bin/holdfast')} lag --json`
  const { stdout } = await promisify(execFile)('/bin/sh', ['-c', lag], {
    cwd: elsewhere,
    env: { PATH: process.env.PATH },
  })
  expect(stdout).toContain('"partition":5')

  // And its key and its log are its own
  const shown = (name: string) => new RegExp(`^  ${name} +(\\S+)$`, 'm').exec(stderr())?.[1] ?? ''
  const [key, log] = [shown('Admin key'), shown('Log')]
  const keyFile = join(dirname(log), 'admin-key')
  expect(key).toMatch(/^\S{20,}$/)
  expect(readFileSync(keyFile, 'utf8')).toBe(`${key}\n`)
  expect(readFileSync(log, 'utf8')).not.toContain(key)
  expect([dirname(log), log, keyFile].map(modeOf)).toEqual(['700', '600', '600'])
  onTestFinished(() => rmSync(dirname(log), { recursive: true }))

  // And when it ends, nobody has called at the servers of production
  demo.kill('SIGINT')
  expect(await demo.exited).toBe(0)
  expect(demo.said().stdout).toMatch(/^verify +ok$/m)
  expect(existsSync(keyFile)).toBe(false)
  expect(theirs.callers()).toBe(0)
})
