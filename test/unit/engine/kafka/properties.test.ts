import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  CLIENT_PROPERTIES,
  CONSUMER_PROPERTIES,
  KNOWN_PROPERTIES,
  refusalOf,
  ruleOf,
} from '#src/engine/kafka/properties.ts'

/** Every property that the installed library documents. */
function documented(): string[] {
  const client = dirname(createRequire(import.meta.url).resolve('@confluentinc/kafka-javascript/package.json'))
  const page = readFileSync(join(client, 'deps/librdkafka/CONFIGURATION.md'), 'utf8')
  const names = [...page.matchAll(/^([a-z][a-z0-9_.]+) +\|/gm)].map(([, name = '']) => name)
  return [...new Set(names)]
}

describe('the properties of the installed Kafka client', () => {
  it('are each allowed or refused by a rule', () => {
    const names = documented()
    expect(names.length).toBeGreaterThan(150)
    expect(names.filter(name => ruleOf(name) === undefined)).toEqual([])
  })

  it('are those that the rules know', () => {
    const names = new Set(documented())
    expect(KNOWN_PROPERTIES.filter(name => !names.has(name))).toEqual([])
  })
})

describe('KAFKA_CONFIG refuses', () => {
  it.each([
    'enable.auto.commit',
    'auto.commit.interval.ms',
    'enable.auto.offset.store',
    'auto.offset.reset',
    'isolation.level',
    'partition.assignment.strategy',
    'group.id',
    'acks',
    'request.required.acks',
    'enable.idempotence',
    'transactional.id',
    'max.in.flight.requests.per.connection',
    'message.send.max.retries',
    'message.max.bytes',
    'delivery.report.only.error',
    'delivery.timeout.ms',
    'produce.offset.report',
    'queuing.strategy',
    'check.crcs',
    'enable.partition.eof',
    'allow.auto.create.topics',
    'enabled_events',
    'log.queue',
    'plugin.library.paths',
    'builtin.features',
    'broker.version.fallback',
    'test.mock.num.brokers',
    'rebalance_cb',
    'offset_commit_cb',
    'dr_msg_cb',
    'bootstrap.servers',
    'metadata.broker.list',
    'security.protocol',
    'sasl.mechanisms',
    'sasl.password',
    'sasl.kerberos.kinit.cmd',
    'ssl.ca.location',
  ])('%s, whatever its value, and says why', name => {
    for (const value of ['1', 'true', 'x']) expect(refusalOf(name, value)).toMatch(/^\w.{10,}/)
  })

  it.each([
    ['message.timeout.ms', '0'],
    ['topic.metadata.refresh.interval.ms', '-1'],
    ['topic.metadata.refresh.interval.ms', '300000'],
    ['receive.message.max.bytes', '1000'],
    ['fetch.min.bytes', '100000000'],
    ['fetch.min.bytes', 'few'],
    ['fetch.wait.max.ms', '60000'],
    ['max.partition.fetch.bytes', '1'],
    ['max.poll.interval.ms', '100'],
    ['socket.timeout.ms', '10'],
    ['socket.max.fails', '0'],
    ['queue.buffering.max.messages', '1'],
    ['queued.max.messages.kbytes', '1'],
    ['log_level', '0'],
    ['metadata.recovery.strategy', 'none'],
  ])('%s=%s, and says what would be right', (name, value) => {
    expect(refusalOf(name, value)).toMatch(/^it must be .+; .+/)
    expect(refusalOf(name, value)).not.toContain(`"${value}"`)
  })
})

describe('KAFKA_CONFIG allows', () => {
  it.each([
    ['client.rack', 'eu,west'],
    ['debug', ''],
    ['group.instance.id', 'pod-0'],
    ['fetch.min.bytes', '1'],
    ['queued.max.messages.kbytes', '4096'],
    ['message.timeout.ms', '4000'],
    ['topic.metadata.refresh.interval.ms', '500'],
    ['statistics.interval.ms', '0'],
    ['ssl.key.password', 'geheim'],
  ])('%s=%s', (name, value) => {
    expect(refusalOf(name, value)).toBeUndefined()
  })

  it('leaves names that the library may know to the library', () => {
    expect(refusalOf('foo', 'bar')).toBeUndefined()
  })
})

it('new partitions are noticed within half a minute', () => {
  expect(CLIENT_PROPERTIES['topic.metadata.refresh.interval.ms']).toBeLessThanOrEqual(30_000)
})

it('what we set ourselves is within the ranges that we allow to others', () => {
  for (const [name, value] of Object.entries({ ...CLIENT_PROPERTIES, ...CONSUMER_PROPERTIES })) {
    const refusal = refusalOf(name, String(value))
    if (typeof value === 'number') expect([name, refusal]).toEqual([name, undefined])
  }
})
