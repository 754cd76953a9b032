/** The service with what it needs on a secured broker: settings, rights, and a load to lose nothing of. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { anOrder } from './orders.ts'
import type { SecuredKafka } from './secured-kafka.ts'
import { eventually } from './service.ts'
import type { FreshTopics } from './stack.ts'
import type { Stream } from './stream.ts'

type Environment = Readonly<Record<string, string>>

/** A file of a secret, exchanged as a whole. Ends with the test. */
export function secretFile(text: string): { readonly path: string; exchange(text: string): void } {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-secret-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const path = join(dir, 'secret')
  writeFileSync(path, text, { mode: 0o600 })
  return {
    path,
    exchange(next) {
      writeFileSync(`${path}.next`, next, { mode: 0o600 })
      renameSync(`${path}.next`, path)
    },
  }
}

export function scram(secured: SecuredKafka, user: string, password: Environment): Environment {
  return {
    KAFKA_BROKERS: secured.at.SCRAM512,
    KAFKA_SECURITY_PROTOCOL: 'sasl_ssl',
    KAFKA_SSL_CA_LOCATION: secured.ca,
    KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512',
    KAFKA_SASL_USERNAME: user,
    ...password,
  }
}

export function mutualTls(secured: SecuredKafka, name: string): Environment {
  const { certificate, key } = secured.certify(name)
  return {
    KAFKA_BROKERS: secured.at.MUTUAL,
    KAFKA_SECURITY_PROTOCOL: 'ssl',
    KAFKA_SSL_CA_LOCATION: secured.ca,
    KAFKA_SSL_CERTIFICATE_LOCATION: certificate,
    KAFKA_SSL_KEY_LOCATION: key,
  }
}

export function oauth(secured: SecuredKafka, source: Environment): Environment {
  return {
    KAFKA_BROKERS: secured.at.OAUTH,
    KAFKA_SECURITY_PROTOCOL: 'sasl_ssl',
    KAFKA_SSL_CA_LOCATION: secured.ca,
    KAFKA_SASL_MECHANISM: 'OAUTHBEARER',
    ...source,
  }
}

/** The rights that docs/kafka.md names for the roles consumer and jobs, on topics that are there. */
export async function allowService(secured: SecuredKafka, principal: string, names: FreshTopics): Promise<void> {
  await secured.allow(principal, { topic: names.topic }, 'read')
  await secured.allow(principal, { topic: names.dlqTopic }, 'read', 'write')
  await secured.allow(principal, { group: names.groupId }, 'read')
}

/** Produces orders until it is stopped, past all that is secured. */
export function startLoad(stream: Stream, perSecond = 50): { stop(): Promise<number> } {
  let stopped = false
  let sent = 0
  const running = (async () => {
    while (!stopped) {
      const n = sent++
      const uid = `load-${n}`
      await stream.produce([{ key: Buffer.from(uid), value: JSON.stringify(anOrder({ uid })), partition: n % 3 }])
      await new Promise<void>(resolve => setTimeout(resolve, 1000 / perSecond))
    }
  })()
  return {
    async stop() {
      stopped = true
      await running
      return sent
    },
  }
}

export async function untilSettled(stream: Stream, count: number): Promise<void> {
  await eventually(async () => (await stream.settled()) === count, `${count} records being settled`, 120_000)
}
