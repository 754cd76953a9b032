/**
 * The names that our spans use, once. They are OpenTelemetry's semantic conventions 1.45.0, which call the Kafka set
 * differently than 1.44 did, and messaging is still no stable part of them: so they stand here alone, and not all over the code,
 * and a test holds them against the package of that version. The package itself is not imported, because loading its
 * thousands of names takes longer than all the rest.
 *
 * Left out on purpose: `url.path`, `url.full`, `url.query`, `kafka.message.key`, which hold an order's uid, and
 * `client.address`, `user_agent.original`, which identify a person. No attribute ever holds a payload.
 */
export const SCHEMA_URL = 'https://opentelemetry.io/schemas/1.45.0'

export const ATTRIBUTE = {
  system: 'messaging.system.name',
  operationName: 'messaging.operation.name',
  operationType: 'messaging.operation.type',
  destination: 'messaging.destination.name',
  /** Text, though it is a number in Kafka. */
  partition: 'messaging.destination.partition.id',
  group: 'messaging.consumer.group.name',
  batchCount: 'messaging.batch.message_count',
  offset: 'kafka.offset',
  tombstone: 'kafka.message.tombstone',
  errorType: 'error.type',
  httpMethod: 'http.request.method',
  httpRoute: 'http.route',
  httpStatus: 'http.response.status_code',
  urlScheme: 'url.scheme',
} as const

/** Ours: there is no convention for it. */
export const DEAD_LETTERED = 'holdfast.batch.dead_lettered'
export const STREAM = 'holdfast.stream'

export const KAFKA = 'kafka'

/** What is done, as the conventions call it: by name, and by type. */
export const OPERATION = {
  send: { [ATTRIBUTE.operationName]: 'send', [ATTRIBUTE.operationType]: 'send' },
  poll: { [ATTRIBUTE.operationName]: 'poll', [ATTRIBUTE.operationType]: 'receive' },
  process: { [ATTRIBUTE.operationName]: 'process', [ATTRIBUTE.operationType]: 'process' },
  commit: { [ATTRIBUTE.operationName]: 'commit', [ATTRIBUTE.operationType]: 'settle' },
} as const

/** Value of the method attribute for a method outside of {@link HTTP_METHODS}: a client can make up any number of names. */
export const OTHER_METHOD = '_OTHER'
export const HTTP_METHODS: ReadonlySet<string> = new Set([
  ...['CONNECT', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'QUERY', 'TRACE'],
])
