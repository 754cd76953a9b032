/**
 * What KAFKA_CONFIG may hold: every property of librdkafka 2.15 has its entry here, allowed or refused, and a test compares this
 * table with the library's own list (CONFIGURATION.md). A property that can break a promise of docs/guarantees.md is refused with
 * the reason; where only some values can, the others are allowed.
 */
type Rule =
  | { readonly allow: 'any' }
  | { readonly allow: readonly string[]; readonly why: string }
  | { readonly from: number; readonly to: number; readonly why: string }
  | { readonly refuse: string }

const ANY: Rule = { allow: 'any' }
const refuse = (why: string): Rule => ({ refuse: why })
const range = (from: number, to: number, why: string): Rule => ({ from, to, why })

const COMMITS = refuse('offsets are committed only after the transaction')
const CALLBACK = refuse('callbacks and pointers cannot be given as text, and belong to the client')
const PRODUCER = refuse('the producer is idempotent, and retries itself')
const OLD_PROTOCOL = refuse('without the current protocol there are no headers, transactions or idempotence')
const SASL_METHOD = refuse('tokens are had by KAFKA_SASL_OAUTH_*, and Kerberos is not offered; it would have no effect')
const SHARE = refuse('it belongs to share groups, which keep no order')
const NO_EFFECT = refuse('it has no effect any more')
const BACK_SOON = 'brokers that are back must be found within a minute'
const DELIVERY = 'a dead letter that is not acknowledged in time is sent again; 0 would wait for ever'

const RULES: Readonly<Record<string, Rule>> = {
  // Settings of their own.
  'bootstrap.servers': refuse('use KAFKA_BROKERS'),
  'metadata.broker.list': refuse('use KAFKA_BROKERS'),
  'group.id': refuse('use KAFKA_GROUP_ID'),
  'security.protocol': refuse('use KAFKA_SECURITY_PROTOCOL'),
  'sasl.mechanism': refuse('use KAFKA_SASL_MECHANISM'),
  'sasl.mechanisms': refuse('use KAFKA_SASL_MECHANISM'),
  'sasl.username': refuse('use KAFKA_SASL_USERNAME'),
  'sasl.password': refuse('use KAFKA_SASL_PASSWORD'),
  'ssl.ca.location': refuse('use KAFKA_SSL_CA_LOCATION'),
  'ssl.certificate.location': refuse('use KAFKA_SSL_CERTIFICATE_LOCATION'),
  'ssl.key.location': refuse('use KAFKA_SSL_KEY_LOCATION'),
  'max.poll.records': refuse('use BATCH_MAX_RECORDS'),
  'allow.auto.create.topics': refuse('a misspelt topic must not come into being; use KAFKA_CREATE_TOPICS'),

  // The consumer: offsets, order, what is read.
  'enable.auto.commit': COMMITS,
  'auto.commit.enable': COMMITS,
  'auto.commit.interval.ms': COMMITS,
  'enable.auto.offset.store': COMMITS,
  'offset.store.method': COMMITS,
  'offset.store.path': COMMITS,
  'offset.store.sync.interval.ms': COMMITS,
  'auto.offset.reset': refuse('a position is never moved in silence; see `holdfast seek`'),
  'isolation.level': refuse('records of aborted transactions must not be read'),
  'check.crcs': refuse('a record that was damaged on its way must not be stored'),
  'partition.assignment.strategy': refuse('rebalances are cooperative'),
  'group.protocol': refuse('rebalances are cooperative, and the client takes part in them'),
  'group.protocol.type': refuse('rebalances are cooperative'),
  'group.remote.assignor': refuse('rebalances are cooperative'),
  'enable.partition.eof': refuse('ends of partitions are asked of the broker'),
  'consume.callback.max.messages': NO_EFFECT,
  'share.acknowledgement.mode': SHARE,
  'group.instance.id': ANY,
  'client.rack': ANY,
  'session.timeout.ms': range(1_000, 300_000, 'partitions of a process that died must be taken over in minutes'),
  'heartbeat.interval.ms': range(100, 60_000, 'the group must hear of a member several times in a session'),
  'max.poll.interval.ms': range(6_000, 3_600_000, 'a batch and a drain must fit into it'),
  'coordinator.query.interval.ms': ANY,
  'queued.min.messages': ANY,
  'queued.max.messages.kbytes': range(64, 1_048_576, 'it bounds the memory of what is fetched ahead'),
  'fetch.wait.max.ms': range(0, 5_000, 'records must not wait longer at the broker'),
  'fetch.min.bytes': range(0, 1_048_576, 'the broker would hold back every answer for fetch.wait.max.ms'),
  'fetch.queue.backoff.ms': range(0, 1_000, 'a drain waits for it'),
  'fetch.error.backoff.ms': range(0, 5_000, 'a partition whose leader moved must go on within seconds'),
  'fetch.message.max.bytes': refuse('use max.partition.fetch.bytes'),
  'max.partition.fetch.bytes': range(
    16_384,
    52_428_800,
    'smaller ones fetch record by record, larger ones starve others',
  ),
  'fetch.max.bytes': range(1_048_576, 99_999_488, 'an answer must fit into receive.message.max.bytes'),
  'receive.message.max.bytes': range(100_000_000, 2_147_483_647, 'the largest batch of the topic must fit into it'),

  // The producer: every dead letter is acknowledged, whole and in order.
  acks: refuse('a dead letter counts once all in-sync replicas have it'),
  'request.required.acks': refuse('a dead letter counts once all in-sync replicas have it'),
  'enable.idempotence': PRODUCER,
  'enable.gapless.guarantee': PRODUCER,
  'transactional.id': PRODUCER,
  'transaction.timeout.ms': PRODUCER,
  'max.in.flight': PRODUCER,
  'max.in.flight.requests.per.connection': PRODUCER,
  retries: PRODUCER,
  'message.send.max.retries': PRODUCER,
  'message.max.bytes': refuse('a dead letter must always fit'),
  'message.copy.max.bytes': refuse('a dead letter must always fit'),
  'delivery.report.only.error': refuse('each dead letter waits for the report that it was delivered'),
  'produce.offset.report': refuse('the report says where a dead letter stands'),
  partitioner: refuse('a key keeps its partition, whichever client produces it'),
  'queuing.strategy': refuse('dead letters of a partition stay in order'),
  'queue.buffering.max.messages': range(20_000, 10_000_000, 'dead letters of a whole batch must fit'),
  'queue.buffering.max.kbytes': range(65_536, 2_147_483_647, 'the largest dead letters must fit'),
  'queue.buffering.max.ms': refuse('use linger.ms'),
  'linger.ms': range(0, 1_000, 'a batch waits for its dead letters'),
  'sticky.partitioning.linger.ms': range(0, 1_000, 'a batch waits for its dead letters'),
  'message.timeout.ms': range(1_000, 120_000, DELIVERY),
  'delivery.timeout.ms': refuse('use message.timeout.ms'),
  'request.timeout.ms': range(1_000, 60_000, 'an acknowledgement that is lost must be noticed'),
  'retry.backoff.ms': range(1, 10_000, 'a batch waits for its dead letters'),
  'retry.backoff.max.ms': range(1, 60_000, 'a batch waits for its dead letters'),
  'queue.buffering.backpressure.threshold': ANY,
  'compression.codec': ANY,
  'compression.type': ANY,
  'compression.level': ANY,
  'batch.num.messages': ANY,
  'batch.size': ANY,

  // Brokers, topics and connections: what moves must be found again.
  'topic.metadata.refresh.interval.ms': range(
    100,
    60_000,
    'new partitions and leaders must be noticed within a minute',
  ),
  'metadata.max.age.ms': refuse('it follows topic.metadata.refresh.interval.ms'),
  'topic.metadata.refresh.fast.interval.ms': ANY,
  'topic.metadata.refresh.fast.cnt': ANY,
  'topic.metadata.refresh.sparse': ANY,
  'topic.metadata.propagation.max.ms': range(0, 60_000, 'a topic that is missing must be named'),
  'topic.blacklist': refuse('it could hide the topics of the stream'),
  'metadata.recovery.strategy': {
    allow: ['rebootstrap'],
    why: 'a cluster whose brokers have all moved must be found again',
  },
  'metadata.recovery.rebootstrap.trigger.ms': ANY,
  'socket.timeout.ms': range(6_000, 300_000, 'a busy broker needs seconds to answer a join or a commit'),
  'socket.connection.setup.timeout.ms': range(1_000, 60_000, BACK_SOON),
  'socket.max.fails': range(1, 10, 'a connection that answers nothing must be given up'),
  'broker.address.ttl': range(0, 60_000, BACK_SOON),
  'reconnect.backoff.ms': range(0, 10_000, BACK_SOON),
  'reconnect.backoff.max.ms': range(0, 60_000, BACK_SOON),
  'reconnect.backoff.jitter.ms': ANY,
  'socket.blocking.max.ms': ANY,
  'socket.send.buffer.bytes': ANY,
  'socket.receive.buffer.bytes': ANY,
  'socket.keepalive.enable': ANY,
  'socket.nagle.disable': ANY,
  'broker.address.family': ANY,
  'connections.max.idle.ms': ANY,
  'client.dns.lookup': ANY,
  'client.id': ANY,
  'enable.metrics.push': ANY,
  'api.version.request': OLD_PROTOCOL,
  'api.version.request.timeout.ms': ANY,
  'api.version.fallback.ms': OLD_PROTOCOL,
  'broker.version.fallback': OLD_PROTOCOL,

  // TLS and SASL beyond the settings of their own.
  'ssl.cipher.suites': ANY,
  'ssl.curves.list': ANY,
  'ssl.sigalgs.list': ANY,
  'ssl.key.password': ANY,
  'ssl.key.pem': ANY,
  'ssl.certificate.pem': ANY,
  'ssl.ca.pem': ANY,
  'https.ca.location': ANY,
  'https.ca.pem': ANY,
  'ssl.ca.certificate.stores': ANY,
  'ssl.crl.location': ANY,
  'ssl.keystore.location': ANY,
  'ssl.keystore.password': ANY,
  'ssl.providers': ANY,
  'ssl.engine.location': ANY,
  'ssl.engine.id': ANY,
  'enable.ssl.certificate.verification': ANY,
  'ssl.endpoint.identification.algorithm': ANY,
  ssl_key: CALLBACK,
  ssl_certificate: CALLBACK,
  ssl_ca: CALLBACK,
  ssl_engine_callback_data: CALLBACK,
  'enable.sasl.oauthbearer.unsecure.jwt': SASL_METHOD,

  // The client inside of the process.
  'builtin.features': refuse('it describes the library, and cannot be set'),
  'plugin.library.paths': refuse('foreign code would stand between the records and the service'),
  interceptors: CALLBACK,
  opaque: CALLBACK,
  default_topic_conf: CALLBACK,
  msg_order_cmp: CALLBACK,
  enabled_events: refuse('events would go to a queue that nothing reads'),
  'log.queue': refuse('the log of the client would go to a queue that nothing reads'),
  log_level: range(6, 7, 'causes of failures are read from the log of the client'),
  'internal.termination.signal': refuse('signals belong to the process'),
  debug: ANY,
  'log.thread.name': ANY,
  'log.connection.close': ANY,
  'enable.random.seed': ANY,
  'statistics.interval.ms': ANY,
}

/** Kinds of which the library has many. */
const KINDS: readonly (readonly [RegExp, Rule])[] = [
  [/_cb$/, CALLBACK],
  [/^sasl\.(kerberos|oauthbearer)\./, SASL_METHOD],
  [/^(test\.|ut[._])/, refuse('it belongs to the tests of the library')],
]

/** @returns the rule of a property; `undefined` for a name that this table does not know, which the library judges */
export function ruleOf(name: string): Rule | undefined {
  return RULES[name] ?? KINDS.find(([pattern]) => pattern.test(name))?.[1]
}

/** The properties that have an entry of their own. */
export const KNOWN_PROPERTIES: readonly string[] = Object.keys(RULES)

/**
 * @returns why this property may not stand in KAFKA_CONFIG with this value, as the end of "NAME is refused: "; `undefined` when it may.
 * Never quotes the value, which may be a secret.
 */
export function refusalOf(name: string, value: string): string | undefined {
  const rule = ruleOf(name)
  if (rule === undefined) return undefined
  if ('refuse' in rule) return rule.refuse
  if ('from' in rule) {
    const fits = /^\d{1,12}$/.test(value) && Number(value) >= rule.from && Number(value) <= rule.to
    return fits ? undefined : `it must be a whole number from ${rule.from} to ${rule.to}; ${rule.why}`
  }
  if (rule.allow === 'any' || rule.allow.includes(value)) return undefined
  return `it must be ${rule.allow.join(' or ')}; ${rule.why}`
}

/** Properties that every client starts with, unless KAFKA_CONFIG overrides them. */
export const CLIENT_PROPERTIES = {
  'client.id': 'holdfast',
  'socket.keepalive.enable': true,
  'reconnect.backoff.max.ms': 2_000,
  // A broker that is silent is found out by looking where its partitions are led now, and new partitions likewise; the default is five minutes.
  'topic.metadata.refresh.interval.ms': 10_000,
  // Until then a silent one counts as there, and is asked for that as well; the default is a minute.
  'socket.timeout.ms': 15_000,
  'allow.auto.create.topics': false,
} as const

/** What the consumer is started with. Reasons are in docs/guarantees.md and here. */
export const CONSUMER_PROPERTIES = {
  'enable.auto.commit': false,
  'enable.auto.offset.store': false,
  'partition.assignment.strategy': 'cooperative-sticky',
  'session.timeout.ms': 10_000,
  // By its answer a member learns that others come or go, and each partition that moves waits for that, two times over; the default is 3 s.
  'heartbeat.interval.ms': 1_000,
  // Also how long the coordinator holds a rebalance open for a member that it takes for alive and that does not join again, as one whose new
  // positions Postgres does not tell. Well beyond a drain and the longest batch; polls go on during an outage.
  'max.poll.interval.ms': 30_000,
  // What the client may prefetch: the memory bound of the native side.
  'queued.max.messages.kbytes': 4_096,
  // The default of one second stalls a drain whenever the queue has been full.
  'fetch.queue.backoff.ms': 5,
  // Larger fetches arrive partition by partition and starve the other lanes.
  'max.partition.fetch.bytes': 1_048_576,
  // A record ends the wait. A partition that comes or moves is fetched after it, and each fetch wakes an idle process and its broker.
  'fetch.wait.max.ms': 250,
  'isolation.level': 'read_committed',
} as const

/** `[smaller, larger, factor]`: factor times the smaller one must not exceed the larger one. */
const ORDERED = [
  ['heartbeat.interval.ms', 'session.timeout.ms', 2],
  ['session.timeout.ms', 'max.poll.interval.ms', 1],
  ['reconnect.backoff.ms', 'reconnect.backoff.max.ms', 1],
  ['retry.backoff.ms', 'retry.backoff.max.ms', 1],
] as const

/** Properties that are right one by one and wrong together, each as a sentence. */
export function disagreementsOf(given: Readonly<Record<string, string>>): string[] {
  const defaults = { 'reconnect.backoff.ms': 100, 'retry.backoff.ms': 100, 'retry.backoff.max.ms': 1_000 }
  const effective: Readonly<Record<string, unknown>> = {
    ...defaults,
    ...CLIENT_PROPERTIES,
    ...CONSUMER_PROPERTIES,
    ...given,
  }
  return ORDERED.flatMap(([smaller, larger, factor]) => {
    if (Number(effective[smaller]) * factor <= Number(effective[larger])) return []
    const bound = factor === 1 ? `at most ${larger}` : `at most half of ${larger}`
    return [`${smaller} (${effective[smaller]}) must be ${bound} (${effective[larger]})`]
  })
}
