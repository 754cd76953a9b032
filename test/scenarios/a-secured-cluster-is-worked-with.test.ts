import { afterAll, beforeAll, expect, it } from 'vitest'
import { brokenOrders } from '../support/broken-orders.ts'
import { holdfast } from '../support/cli.ts'
import { anOrder } from '../support/orders.ts'
import { letterCounts } from '../support/redrives.ts'
import { type SecuredKafka, startSecuredKafka } from '../support/secured-kafka.ts'
import { allowService, mutualTls, oauth, scram, secretFile, untilSettled } from '../support/secured-service.ts'
import { eventually, isReady, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'

let secured: SecuredKafka

streamTools()
beforeAll(async () => {
  secured = await startSecuredKafka()
})
afterAll(async () => {
  await secured[Symbol.asyncDispose]()
})

const logins = {
  'SCRAM-SHA-512 over TLS': async () => {
    await secured.setPassword('service', 's e cret')
    return { principal: 'service', env: scram(secured, 'service', { KAFKA_SASL_PASSWORD: 's e cret' }) }
  },
  'a certificate of its own (mutual TLS)': async () => ({
    principal: 'CN=service-with-certificate',
    env: mutualTls(secured, 'service-with-certificate'),
  }),
  'OAUTHBEARER, with tokens from an identity provider': async () => {
    const { tokenUrl, clientId, clientSecret } = secured.issuer
    const env = oauth(secured, {
      KAFKA_SASL_OAUTH_TOKEN_URL: tokenUrl,
      KAFKA_SASL_OAUTH_CLIENT_ID: clientId,
      KAFKA_SASL_OAUTH_CLIENT_SECRET_FILE: secretFile(`${clientSecret}\n`).path,
    })
    return { principal: clientId, env }
  },
}

it.each(Object.entries(logins))(
  'reads, writes, sets aside and redrives, with no right too many: %s',
  async (_, login) => {
    // Given a service that may do what docs/kafka.md lists for it, and nothing else
    const stream = await aStream({ brokers: secured.kafka.brokers })
    const { principal, env } = await login()
    await allowService(secured, principal, stream)
    const { KAFKA_BROKERS: brokers } = env
    const asService = { ...stream, brokers: brokers ?? '', env: { ...env, KAFKA_CREATE_TOPICS: 'false' } }

    // When it meets orders, and some that cannot be stored
    const orders = Array.from({ length: 300 }, (_, n) => anOrder({ uid: `order-${n}` }))
    await stream.produce(
      orders.map((order, n) => ({ key: Buffer.from(order.order_uid), value: JSON.stringify(order), partition: n % 3 })),
    )
    await stream.produce(brokenOrders(6))
    const service = await startService(asService)
    await untilSettled(stream, 306)
    await eventually(() => isReady(service), 'being ready')
    expect(await letterCounts(stream)).toEqual({ 'open 0': 6 })
    await eventually(() => service.log.some(({ event }) => event === 'jobs_started'), 'the jobs')

    // Then doctor finds nothing amiss of Kafka, a redrive ends, and the proof holds, asked with the same login
    // (It may give up on a server that is silent for seconds, as on a busy machine.)
    const amiss = async () => {
      const { stdout } = await holdfast(asService, 'doctor', '--json').catch((error: { stdout: string }) => error)
      const findings = stdout.trim().split('\n')
      return findings.map(line => JSON.parse(line) as { ok: boolean }).filter(({ ok }) => !ok)
    }
    await expect.poll(amiss, { timeout: 90_000 }).toEqual([])
    await expect(holdfast(asService, 'dlq', 'replay', 'state:open', '--yes', '--json')).rejects.toMatchObject({
      code: 1,
    })
    expect(await letterCounts(stream)).toEqual({ 'open 1': 6 })
    expect(JSON.parse((await holdfast(asService, 'verify', '--json')).stdout)).toMatchObject({ verify: 'ok' })
    expect(await service.stop()).toBe(0)
    expect(service.output.join('\n')).not.toMatch(/s e cret|first-secret|eyJ/)
  },
)
