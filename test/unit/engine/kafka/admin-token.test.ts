import { monitorEventLoopDelay } from 'node:perf_hooks'
import { expect, it, vi } from 'vitest'
import { BrokerUnavailableError } from '#src/engine/errors.ts'
import { nativeAdmin, nativeProducer } from '#src/engine/kafka/client.ts'
import { startInspector } from '#src/engine/kafka/inspector.ts'
import { call } from '#src/engine/kafka/native.ts'
import { startProducer } from '#src/engine/kafka/producer.ts'
import type { Token } from '#src/engine/kafka/tokens.ts'

/** Nothing listens there: no question is answered. */
const NOWHERE = ['127.0.0.1:1']
const SECURITY = { 'security.protocol': 'sasl_plaintext', 'sasl.mechanism': 'OAUTHBEARER' }
const token = (): Token => ({ value: 'abc', expiresAtMs: Date.now() + 60_000, principal: 'p', extensions: {} })

it('a question that waits for a broker does not keep the process standing, whenever its client gets a token', async () => {
  /** The longest time for which the process stood still while a question waited for two seconds. */
  async function standstillMs(): Promise<number> {
    const get = vi.fn(async () => ({ token: token() }))
    const admin = await nativeAdmin({ brokers: NOWHERE, security: SECURITY, extra: {}, tokens: { get } })
    using delay = monitorEventLoopDelay({ resolution: 10 })
    delay.enable()
    const asked = call<readonly object[]>(done =>
      admin.describeTopics(['t'], { includeAuthorizedOperations: false, timeout: 2_000 }, done),
    )
    await expect(asked).rejects.toMatchObject({ code: -185 })
    expect(get).toHaveBeenCalledTimes(1)
    admin.disconnect()
    return delay.max / 1e6
  }
  // The machine, too, may hold the process up for that long, but hardly in each of three questions.
  let shortestMs = Number.POSITIVE_INFINITY
  for (let question = 0; question < 3 && shortestMs >= 1_500; question++) {
    shortestMs = Math.min(shortestMs, await standstillMs())
  }
  expect(shortestMs).toBeLessThan(1_500)
})

it('where there is no token, there is no client that would wait for one', async () => {
  const get = async () => {
    throw new Error('none')
  }
  await expect(nativeAdmin({ brokers: NOWHERE, security: SECURITY, extra: {}, tokens: { get } })).rejects.toThrow(
    'none',
  )
})

it('a consumer or a producer that gets no token says so at once, and its release ends nothing', async () => {
  const get = async () => {
    throw new BrokerUnavailableError('no token')
  }
  const connection = { brokers: NOWHERE, security: SECURITY, extra: {}, tokens: { get } }
  const startedAtMs = performance.now()
  await expect(startInspector({ connection, groupId: 'g' })).rejects.toThrow('no token')
  await expect(startProducer({ connection })).rejects.toThrow('no token')
  // Each would otherwise ask for ten seconds.
  expect(performance.now() - startedAtMs).toBeLessThan(15_000)
  // A client that is released when it was never connected ends the process a moment later.
  await new Promise(resolve => setTimeout(resolve, 200))
})

it('a token that comes when its client has gone ends nothing', async () => {
  const late = Promise.withResolvers<{ token: Token }>()
  const get = vi.fn(() => late.promise)
  // On a busy machine a client may give up before it has asked for a token: the next one has more time.
  for (let timeout = 500; get.mock.calls.length === 0; timeout *= 2) {
    const client = nativeProducer({ brokers: NOWHERE, security: SECURITY, extra: {}, tokens: { get } }, {})
    const connected = call<object>(done => client.connect({ timeout }, done))
    await expect(connected).rejects.toMatchObject({ code: expect.any(Number) })
    await new Promise<void>(resolve =>
      (client as unknown as { _disconnect(done: () => void): void })._disconnect(() => resolve()),
    )
  }
  late.resolve({ token: token() })
  // An error that nobody catches would come now.
  await new Promise(resolve => setImmediate(resolve))
})
