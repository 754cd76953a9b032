/** The service with what it needs on a secured broker: settings, rights, and a load to lose nothing of. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { BrokerUnavailableError } from '#src/engine/errors.ts'
import { startInspector } from '#src/engine/kafka/inspector.ts'
import { anOrder } from './orders.ts'
import type { SecuredKafka } from './secured-kafka.ts'
import { eventually } from './service.ts'
import type { FreshTopics } from './stack.ts'
import type { ProducedRecord, Stream } from './stream.ts'

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

/** Produces orders until it is stopped, past all that is secured. Those of a broker that restarts may come twice. */
export function startLoad(stream: Stream, perSecond = 50): { stop(): Promise<void> } {
  let stopped = false
  const running = (async () => {
    for (let n = 0; !stopped; n++) {
      const uid = `load-${n}`
      const record = { key: Buffer.from(uid), value: JSON.stringify(anOrder({ uid })), partition: n % 3 }
      while (!(await isProduced(stream, record))) await sleep(500)
      await sleep(1000 / perSecond)
    }
  })()
  return {
    async stop() {
      stopped = true
      await running
    },
  }
}

async function isProduced(stream: Stream, record: ProducedRecord): Promise<boolean> {
  try {
    await stream.produce([record])
    return true
  } catch (error) {
    if (error instanceof BrokerUnavailableError) return false
    throw error
  }
}

export async function untilSettled(stream: Stream, count: number): Promise<void> {
  await eventually(async () => (await stream.settled()) === count, `${count} records being settled`, 120_000)
}

/** All that the topic holds. */
export async function untilAllSettled(stream: Stream): Promise<void> {
  const connection = { brokers: [stream.brokers], security: {}, extra: {} }
  await using inspector = await startInspector({ connection, groupId: stream.groupId })
  const partitions = await inspector.partitions(stream.topic)
  const ends = await Promise.all(partitions.map(async at => (await inspector.watermarks(at)).high))
  await untilSettled(
    stream,
    ends.reduce((sum, end) => sum + Number(end), 0),
  )
}
