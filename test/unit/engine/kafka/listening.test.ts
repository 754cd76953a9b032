import { EventEmitter, once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer } from 'node:tls'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { BrokerFatalError, BrokerUnavailableError } from '#src/engine/errors.ts'
import { connect } from '#src/engine/kafka/connect.ts'
import { toLastError, toStreamError, warningText } from '#src/engine/kafka/errors.ts'
import { causesOf, listen } from '#src/engine/kafka/listening.ts'
import type { NativeClient } from '#src/engine/kafka/native.ts'
import { makeAuthority } from '../../../support/certificates.ts'

let client: EventEmitter

beforeEach(() => {
  client = new EventEmitter()
  listen(client, { brokers: ['a:9092', 'b:9092'], security: { 'security.protocol': 'sasl_plaintext' } })
})

async function aPortWhoseCertificateHasExpired() {
  const authority = makeAuthority('Test authority')
  const { certificate, key } = authority.issue('127.0.0.1', new Date(Date.now() - 86_400_000))
  const server = createServer({ cert: certificate, key }).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  const dir = mkdtempSync(join(tmpdir(), 'listening-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const ca = join(dir, 'ca.pem')
  writeFileSync(ca, authority.certificate)
  await once(server, 'listening')
  return { at: `127.0.0.1:${(server.address() as AddressInfo).port}`, ca }
}

const says = (message: string, fac = 'FAIL') => client.emit('event.log', { fac, message })
const refused = (broker: string, id = 'bootstrap') =>
  says(`${broker}/${id}: Connect to ipv4#10.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)`)
const wrongPassword = (broker: string) =>
  says(
    `sasl_plaintext://${broker}/bootstrap: SASL authentication error: Authentication failed (after 3ms in state AUTH_REQ)`,
  )
const timedOut = { code: -185, message: 'timed out' }

describe('a call that got no answer', () => {
  it('has what the client said as its cause, with what to do', () => {
    refused('a:9092')
    const error = toStreamError(timedOut, 'asking', client)
    expect(error).toBeInstanceOf(BrokerUnavailableError)
    expect(error.message).toMatch(
      /^Kafka, asking: cannot connect to a:9092: Connection refused; check that a broker runs/,
    )
    expect(error.remedy).toContain('KAFKA_BROKERS')
  })

  it('is an outage under a running service also where a password was exchanged, and says that it is a mistake', () => {
    causesOf(client)?.heard()
    wrongPassword('a:9092')
    expect(toStreamError(timedOut, 'asking', client)).toMatchObject({ disposition: 'retry', isMistake: true })
    expect(warningText(client, { code: -195, message: 'all brokers are down' })).toMatch(
      /^all brokers are down: a:9092 refuses the user or the password.*KAFKA_SASL_PASSWORD/,
    )
  })

  it('is an outage, too, where a connection ended while it logged in, which the client calls a failed authentication', () => {
    const cut = { code: -169, message: 'Local: Authentication failure' }
    expect(toStreamError(cut, 'reading', client)).toMatchObject({
      disposition: 'retry',
      message: 'Kafka, reading: Local: Authentication failure (code -169)',
    })
  })

  it('has none of an earlier time, once a broker has answered', () => {
    wrongPassword('a:9092')
    causesOf(client)?.heard()
    expect(toStreamError(timedOut, 'asking', client).message).toBe('Kafka, asking: timed out (code -185)')
  })

  it('is not put down to a port without SASL once it was let in: a broker answers so on a connection whose token has expired', () => {
    const noSasl = 'sasl_plaintext://a:9092/1: Request not valid in current SASL state (after 3ms in state AUTH_REQ)'
    says(noSasl)
    expect(causesOf(client)?.latest()).toMatchObject({ kind: 'sasl_not_offered' })
    causesOf(client)?.heard()
    says(noSasl)
    expect(causesOf(client)?.latest()).toBeUndefined()
  })

  it('is not put down to a connection that a broker has closed, as they do when it idles', () => {
    causesOf(client)?.heard()
    says('a:9092/1: Disconnected: connection closed by peer: receive 0 after POLLIN (after 600000ms in state UP)')
    expect(causesOf(client)?.latest()).toBeUndefined()
  })
})

describe('what is known of a broker stays known', () => {
  it('when the client words the same failure in another way, and when it reports that the connection was closed', async () => {
    const { at, ca } = await aPortWhoseCertificateHasExpired()
    client = new EventEmitter()
    listen(client, { brokers: [at], security: { 'security.protocol': 'ssl', 'ssl.ca.location': ca } })
    const cause = () => causesOf(client)?.latest()?.what
    says(`ssl://${at}/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker`)
    await causesOf(client)?.settled()
    expect(cause()).toMatch(/its certificate expired on/)

    says(
      `ssl://${at}/bootstrap: error:0A000086:SSL routines::certificate verify failed (after 1ms in state SSL_HANDSHAKE)`,
    )
    expect(cause()).toMatch(/its certificate expired on/)
    says(`ssl://${at}/bootstrap: Disconnected (after 2ms in state SSL_HANDSHAKE)`)
    expect(cause()).toMatch(/its certificate expired on/)
  })

  it('until a more specific failure is reported', () => {
    says('sasl_plaintext://a:9092/bootstrap: Disconnected (after 2ms in state APIVERSION_QUERY)')
    expect(causesOf(client)?.latest()).toMatchObject({ kind: 'closed' })
    wrongPassword('a:9092')
    expect(causesOf(client)?.latest()).toMatchObject({ kind: 'credentials' })
  })
})

it('an answer of a broker stays what it is', () => {
  refused('a:9092')
  expect(toStreamError({ code: 3, message: 'unknown topic' }, 'asking', client).message).toContain('unknown topic')
})

it('waiting is given up when every broker has said what waiting will not change', () => {
  wrongPassword('a:9092')
  expect(causesOf(client)?.hopeless()).toBe(false)
  refused('b:9092')
  expect(causesOf(client)?.hopeless()).toBe(false)
  wrongPassword('b:9092')
  expect(causesOf(client)?.hopeless()).toBe(true)
})

it('a client that knows its brokers only by names that nothing resolves is not asked on until the time is up', async () => {
  const asked: number[] = []
  const played = Object.assign(client, {
    getMetadata({ timeout }: { timeout: number }, done: (error: object) => void) {
      asked.push(timeout)
      says("in-docker.invalid:9092/1: Failed to resolve 'in-docker.invalid:9092': Name or service not known")
      done(timedOut)
    },
    connect(options: { timeout: number }, done: (error: object) => void) {
      this.getMetadata(options, done)
    },
  })
  await expect(connect(played as unknown as NativeClient, 30_000)).rejects.toBe(timedOut)
  expect(asked.reduce((sum, ms) => sum + ms)).toBeLessThan(5_000)
})

it('a client that gives up is waited for until it has said why', async () => {
  const failing = toLastError({ code: -150, message: 'Local: Fatal error' }, 'producing to dlq', client)
  says(
    '[thrd:main]: Fatal error: Broker: Cluster authorization failed: Failed to acquire idempotence PID from broker a:9092/1: Broker: Cluster authorization failed',
    'FATAL',
  )
  expect(await failing).toBeInstanceOf(BrokerFatalError)
  expect((await failing).message).toMatch(/^Kafka, producing to dlq: this user may write to no topic .*grant WRITE/)
})
