import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { BrokerFatalError } from '../engine/errors.ts'
import { type KafkaInspector, startInspector } from '../engine/kafka/inspector.ts'
import { topicRights } from '../engine/kafka/topic-rights.ts'
import type { Stream } from '../engine/stream.ts'
import type { Config } from '../settings/config.ts'
import { type Finding, messageOf, remedyOf } from './doctor-finding.ts'
import { plural } from './words.ts'

/** How our consumers share the partitions of a group; all members must agree. */
const OUR_STRATEGY = 'cooperative-sticky'

/** The broker, and of each stream its group and topics with the rights on them. */
export async function* kafkaFindings(config: Config, streams: readonly Stream[]): AsyncGenerator<Finding> {
  const { kafka: settings } = config
  let principal = 'USER'
  for (const [index, stream] of streams.entries()) {
    try {
      await using inspector = await startInspector({ connection: settings, groupId: stream.groupId })
      // Any question that a broker answers.
      await inspector.partitions(stream.topic)
      if (index === 0) {
        principal = (await principalOf(settings)) ?? principal
        yield { name: 'kafka', ok: true, detail: `reached at ${settings.brokers.join(', ')}` }
      }
      yield* group(settings, principal, stream, inspector)
    } catch (error) {
      yield {
        name: 'kafka',
        ok: false,
        detail: messageOf(error),
        fix:
          remedyOf(error) ??
          'check KAFKA_BROKERS, KAFKA_CONFIG and the KAFKA_S* settings; "holdfast demo" or "docker compose up" start a broker',
      }
      return
    }
    yield* topics(settings, principal, stream)
  }
}

/** Whom the brokers take us for, unless they have rules of their own for it. */
async function principalOf({ security, logins, tokens }: Config['kafka']): Promise<string | undefined> {
  if (tokens !== undefined) return (await tokens.get()).token.principal || undefined
  const certificate = security['ssl.certificate.location']
  return logins?.current().username ?? (certificate === undefined ? undefined : distinguishedName(certificate))
}

/** As RFC 2253 writes it: the last part of the subject first. */
function distinguishedName(certificate: string): string | undefined {
  try {
    return new X509Certificate(readFileSync(certificate)).subject.split('\n').toReversed().join()
  } catch {
    return undefined
  }
}

/** The line that gives a right to the user of these settings. */
function grant(
  { brokers }: Config['kafka'],
  principal: string,
  operations: readonly string[],
  resource: string,
): string {
  const user = `User:${/^[\w.@-]*$/.test(principal) ? principal : `'${principal}'`}`
  return (
    `kafka-acls --bootstrap-server ${brokers[0]} --add --allow-principal ${user} ` +
    `${operations.map(operation => `--operation ${operation}`).join(' ')} ${resource}`
  )
}

async function* group(
  settings: Config['kafka'],
  principal: string,
  { topic, groupId }: Stream,
  inspector: KafkaInspector,
): AsyncGenerator<Finding> {
  const name = `group ${groupId}`
  const toJoin = grant(settings, principal, ['Read'], `--group ${groupId}`)
  try {
    const { members, strategy, mayRead } = await inspector.group(topic)
    if (!mayRead) yield { name, ok: false, detail: 'this user may see it, and not join it', fix: toJoin }
    else if (strategy !== undefined && strategy !== OUR_STRATEGY) {
      yield {
        name,
        ok: false,
        detail: `${members} other consumers are in it, which assign partitions by "${strategy}": we could not join`,
        fix: `stop them, or choose another KAFKA_GROUP_ID (ours is ${OUR_STRATEGY})`,
      }
    } else yield { name, ok: true, detail: `${plural(members, 'member')}; this user may join` }
  } catch (error) {
    const fix = error instanceof BrokerFatalError ? toJoin : (remedyOf(error) ?? 'try again in a moment')
    yield { name, ok: false, detail: messageOf(error), fix }
  }
}

/** Each right that the service needs, with the line that gives it. */
async function* topics(
  settings: Config['kafka'],
  principal: string,
  { topic, dlqTopic }: Stream,
): AsyncGenerator<Finding> {
  const { createTopics } = settings
  let rights: Awaited<ReturnType<typeof topicRights>>
  try {
    rights = await topicRights(settings, [topic, dlqTopic])
  } catch (error) {
    yield { name: 'topics', ok: false, detail: messageOf(error), fix: remedyOf(error) ?? 'try again in a moment' }
    return
  }
  for (const found of rights) {
    const isSource = found.topic === topic
    // Dead letters are read as well: to show them, to redrive them, and for the proof.
    const needed = isSource ? ['Read'] : ['Write', 'Read']
    const lacking = needed.filter(operation => !(operation === 'Read' ? found.mayRead : found.mayWrite))
    const of = { name: `topic ${found.topic}`, resource: `--topic ${found.topic}` }
    if (!found.mayDescribe) {
      const fix = grant(settings, principal, needed, of.resource)
      yield { name: of.name, ok: false, detail: 'this user may not even see whether it exists', fix }
    } else if (found.partitions === 0) {
      const coming =
        'not there yet; the service creates it at start (KAFKA_CREATE_TOPICS), for which this user needs CREATE'
      yield createTopics
        ? { name: of.name, ok: true, detail: coming }
        : { name: of.name, ok: false, detail: 'not there', fix: 'create it, or set KAFKA_CREATE_TOPICS=true' }
    } else if (lacking.length > 0) {
      const detail = `${plural(found.partitions, 'partition')}; this user may not ${lacking.join(' and ').toLowerCase()}`
      yield { name: of.name, ok: false, detail, fix: grant(settings, principal, lacking, of.resource) }
    } else {
      const only =
        isSource && !found.mayWrite
          ? ', and not write: adding values over HTTP and redrives to the topic need that'
          : ''
      const may = needed.join(' and ').toLowerCase()
      const held = `${plural(found.partitions, 'partition')} with ${plural(found.replicas, 'replica')}`
      yield { name: of.name, ok: true, detail: `${held}; this user may ${may}${only}` }
    }
    if (found.leaderless.length > 0) {
      yield {
        name: `leaders of ${found.topic}`,
        ok: false,
        detail: `no broker leads ${found.leaderless.map(id => `${found.topic}-${id}`).join(', ')}: they wait, the others continue`,
        fix: 'start the brokers that hold their replicas, and look at the disks of those that run (kafka-topics --describe --unavailable-partitions)',
      }
    }
    if (found.behind.length > 0) {
      yield {
        name: `replicas of ${found.topic}`,
        ok: false,
        detail: `not all in sync: ${found.behind.map(id => `${found.topic}-${id}`).join(', ')}; where fewer are than min.insync.replicas, nothing can be written`,
        fix: 'start the brokers that hold the others (kafka-topics --describe --under-replicated-partitions)',
      }
    }
  }
}
