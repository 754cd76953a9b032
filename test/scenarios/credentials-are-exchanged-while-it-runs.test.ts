import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type SecuredKafka, startSecuredKafka } from '../support/secured-kafka.ts'
import {
  allowService,
  mutualTls,
  oauth,
  scram,
  secretFile,
  startLoad,
  untilAllSettled,
} from '../support/secured-service.ts'
import { eventually, isReady, type Service, startService } from '../support/service.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'

let secured: SecuredKafka

streamTools()
beforeAll(async () => {
  secured = await startSecuredKafka()
})
afterAll(async () => {
  await secured[Symbol.asyncDispose]()
})

async function serve(principal: string, env: Readonly<Record<string, string>>): Promise<[Stream, Service]> {
  const stream = await aStream({ brokers: secured.kafka.brokers })
  await allowService(secured, principal, stream)
  const { KAFKA_BROKERS: brokers = '' } = env
  const service = await startService({ ...stream, brokers, env: { KAFKA_CREATE_TOPICS: 'false', ...env } })
  await eventually(() => isReady(service), 'being ready')
  return [stream, service]
}

/** Nothing was lost, nobody was refused for long, and the process is the same. */
async function ended(stream: Stream, service: Service, load: ReturnType<typeof startLoad>): Promise<void> {
  await load.stop()
  await untilAllSettled(stream)
  expect(await stream.findings({ deep: true })).toEqual([])
  // (On a busy machine an outage of logins may have cost it its membership: it is stopped once it is back in the group.)
  await eventually(() => isReady(service), 'readiness')
  expect(await service.stop()).toBe(0)
}

it('a password of SCRAM: the new one is in use before a connection needs it', async () => {
  // Given a service under load, whose password is in a file
  await secured.setPassword('rotated', 'first')
  const password = secretFile('first\n')
  const [stream, service] = await serve(
    'rotated',
    scram(secured, 'rotated', { KAFKA_SASL_PASSWORD_FILE: password.path }),
  )
  const load = startLoad(stream)
  await eventually(async () => (await stream.settled()) > 50, 'the load being settled')

  // When the password is exchanged at the broker and in the file, and all connections are made anew
  await secured.setPassword('rotated', 'second')
  password.exchange('second\n')
  await eventually(() => service.log.some(({ event }) => event === 'secrets_read'), 'the file being read again')
  await secured.kafka.restart()

  // Then the same process goes on with it, and no attempt was refused
  const before = await stream.settled()
  await eventually(async () => (await stream.settled()) > before + 50, 'going on')
  await ended(stream, service, load)
  expect(service.output.join('\n')).not.toMatch(/refuses the user or the password/)
  expect(service.log.find(({ event }) => event === 'secrets_read')).toMatchObject({ settings: ['KAFKA_SASL_PASSWORD'] })
  expect(service.output.join('\n')).not.toMatch(/"(first|second)"/)
})

it('a password that the broker has exchanged first: the service waits for it, and goes on', async () => {
  await secured.setPassword('late', 'first')
  const password = secretFile('first')
  const [stream, service] = await serve('late', scram(secured, 'late', { KAFKA_SASL_PASSWORD_FILE: password.path }))
  const load = startLoad(stream)
  await eventually(async () => (await stream.settled()) > 50, 'the load being settled')
  await secured.setPassword('late', 'second')
  await secured.kafka.restart()
  const refused = () => service.output.some(line => line.includes('refuses the user or the password'))
  await eventually(refused, 'the old one being refused')
  password.exchange('second')
  await ended(stream, service, load)
})

it('a certificate of ours that has expired: the next connection takes the new one', async () => {
  const env = mutualTls(secured, 'renewed')
  const [stream, service] = await serve('CN=renewed', env)
  const load = startLoad(stream)
  await eventually(async () => (await stream.settled()) > 50, 'the load being settled')
  // When the certificate is written anew, as cert-manager does, and the broker no longer takes connections of the old one
  const { certificate, key } = secured.certify('renewed')
  expect([certificate, key]).toEqual([env.KAFKA_SSL_CERTIFICATE_LOCATION, env.KAFKA_SSL_KEY_LOCATION])
  await secured.kafka.restart()
  await ended(stream, service, load)
})

it('the secret of a client of OIDC: the next token is asked for with the new one', async () => {
  const { issuer } = secured
  const secret = secretFile(issuer.clientSecret)
  const [stream, service] = await serve(
    issuer.clientId,
    oauth(secured, {
      KAFKA_SASL_OAUTH_TOKEN_URL: issuer.tokenUrl,
      KAFKA_SASL_OAUTH_CLIENT_ID: issuer.clientId,
      KAFKA_SASL_OAUTH_CLIENT_SECRET_FILE: secret.path,
    }),
  )
  const load = startLoad(stream)
  issuer.clientSecret = 'second-secret'
  secret.exchange('second-secret\n')
  const before = issuer.issued
  await eventually(() => issuer.issued >= before + 2, 'two more tokens', 120_000)
  expect(issuer.refused).toBe(0)
  await ended(stream, service, load)
})

it('tokens that live 30 seconds, for two minutes under load, through an outage of their issuer', async () => {
  const { issuer } = secured
  const [stream, service] = await serve(
    issuer.clientId,
    oauth(secured, {
      KAFKA_SASL_OAUTH_TOKEN_URL: issuer.tokenUrl,
      KAFKA_SASL_OAUTH_CLIENT_ID: issuer.clientId,
      KAFKA_SASL_OAUTH_CLIENT_SECRET: issuer.clientSecret,
    }),
  )
  const load = startLoad(stream)
  const before = issuer.issued
  const startedMs = performance.now()
  await eventually(() => issuer.issued >= before + 3, 'three more tokens', 120_000)
  // Given an issuer that gives none for longer than a token lives
  issuer.broken = 503
  const told = () => service.output.some(line => line.includes('answered 503'))
  await eventually(told, 'the log saying that no token is to be had', 60_000)
  await new Promise(resolve => setTimeout(resolve, 20_000))
  issuer.broken = undefined
  const settled = await stream.settled()
  await eventually(async () => (await stream.settled()) > settled + 100, 'going on', 60_000)
  await eventually(() => performance.now() - startedMs > 120_000, 'two minutes', 130_000)
  await ended(stream, service, load)
  expect(service.output.join('\n')).not.toMatch(/eyJ/)
})

it('tokens of a program', async () => {
  const { issuer } = secured
  const token = secretFile('')
  const script = secretFile('')
  const seen = secretFile('')
  writeFileSync(
    script.path,
    `const { appendFileSync, readFileSync } = require('node:fs')
appendFileSync(${JSON.stringify(seen.path)}, JSON.stringify(process.argv.slice(2)) + '\\n')
process.stdout.write(readFileSync(${JSON.stringify(token.path)}))`,
  )
  const give = () => token.exchange(issuer.issue('by-command'))
  give()
  const giving = setInterval(give, 5_000)
  try {
    const command = `${process.execPath} ${script.path} --region "eu west"`
    const [stream, service] = await serve('by-command', oauth(secured, { KAFKA_SASL_OAUTH_TOKEN_COMMAND: command }))
    const load = startLoad(stream)
    const { readFileSync } = await import('node:fs')
    const calls = () => readFileSync(seen.path, 'utf8').trim().split('\n').filter(Boolean)
    await eventually(() => calls().length >= 3, 'its third call', 120_000)
    expect(new Set(calls())).toEqual(new Set(['["--region","eu west"]']))
    await ended(stream, service, load)
    expect(service.output.join('\n')).not.toMatch(/eyJ/)
  } finally {
    clearInterval(giving)
  }
})
