import { headerText } from '../engine/headers.ts'
import type { Header, Origin, SourceRecord } from '../engine/record.ts'
import { isInt64 } from '../engine/timestamp.ts'
import type { WrittenBy } from './ports.ts'

/** What the headers of another program's dead letter say. Texts of exceptions are left alone: they may quote the record. */
export interface ForeignHeaders {
  readonly writtenBy: Exclude<WrittenBy, 'holdfast'>
  /** Where the record first stood, when that is said. */
  readonly origin: Origin | undefined
  /** Consumer group or connector; `''` when none is named. */
  readonly groupId: string
  /** Simple name of the exception's class; `''` when none is named. */
  readonly error: string
  /** A sentence made of names. */
  readonly message: string
  readonly attempts: number
}

/** What each program calls things. Positions are text, but for Spring's, which are big-endian integers. */
interface Dialect {
  readonly writtenBy: ForeignHeaders['writtenBy']
  readonly program: string
  /** One of these present says that it is this one's. */
  readonly marks: readonly string[]
  readonly topic: string
  readonly partition: string
  readonly offset: string
  readonly group: string
  /** The more specific one first. */
  readonly exceptions: readonly string[]
  readonly integers: 'text' | 'binary'
}

const DIALECTS: readonly Dialect[] = [
  {
    writtenBy: 'spring',
    program: 'Spring Kafka',
    marks: ['kafka_dlt-original-topic', 'kafka_dlt-exception-fqcn'],
    topic: 'kafka_dlt-original-topic',
    partition: 'kafka_dlt-original-partition',
    offset: 'kafka_dlt-original-offset',
    group: 'kafka_dlt-original-consumer-group',
    // The first one is mostly Spring's own ListenerExecutionFailedException, around what really happened.
    exceptions: ['kafka_dlt-exception-cause-fqcn', 'kafka_dlt-exception-fqcn', 'kafka_dlt-key-exception-fqcn'],
    integers: 'binary',
  },
  {
    writtenBy: 'connect',
    program: 'Kafka Connect',
    marks: ['__connect.errors.topic'],
    topic: '__connect.errors.topic',
    partition: '__connect.errors.partition',
    offset: '__connect.errors.offset',
    group: '__connect.errors.connector.name',
    exceptions: ['__connect.errors.exception.class.name'],
    integers: 'text',
  },
  {
    writtenBy: 'streams',
    program: 'Kafka Streams',
    marks: ['__streams.errors.topic', '__streams.errors.exception'],
    topic: '__streams.errors.topic',
    partition: '__streams.errors.partition',
    offset: '__streams.errors.offset',
    group: '',
    // As `toString()` has it: class, colon, message.
    exceptions: ['__streams.errors.exception'],
    integers: 'text',
  },
  {
    // KIP-1191: share groups, and others that follow that contract.
    writtenBy: 'kafka',
    program: 'a Kafka share group',
    marks: ['__dlq.errors.topic'],
    topic: '__dlq.errors.topic',
    partition: '__dlq.errors.partition',
    offset: '__dlq.errors.offset',
    group: '__dlq.errors.group',
    exceptions: [],
    integers: 'text',
  },
]

const SPRING_TIMESTAMP = 'kafka_dlt-original-timestamp'
const DELIVERY_COUNT = '__dlq.errors.delivery.count'
const CONNECT_STAGE = '__connect.errors.stage'

const TOPIC = /^[A-Za-z0-9._-]{1,249}$/
const NAME = /^[\x21-\x7e]{1,255}$/
const JAVA_CLASS = /^([\p{L}_$][\p{L}\p{N}_$]*\.)*[\p{L}_$][\p{L}\p{N}_$]*(?=:|$)/u
const MAX_CLASS_NAME = 255

export function readForeignHeaders(record: SourceRecord): ForeignHeaders {
  const dialect = DIALECTS.find(({ marks }) => marks.some(mark => record.headers.some(([name]) => name === mark)))
  if (dialect === undefined) {
    const message =
      'found in the dead-letter topic; its headers do not say where it comes from, or why it was set aside'
    return { writtenBy: 'unknown', origin: undefined, groupId: '', error: '', message, attempts: 1 }
  }
  const { writtenBy, program } = dialect
  const exception = exceptionOf(record, dialect.exceptions)
  const stage = /^[A-Z_]{1,40}$/.exec(textOf(record, CONNECT_STAGE))?.[0]
  const message = [
    `set aside by ${program}`,
    ...(exception === '' ? [] : [`with ${exception}`]),
    ...(stage === undefined || writtenBy !== 'connect' ? [] : [`at the stage ${stage}`]),
  ].join(' ')
  const attempts = /^\d{1,5}$/.exec(writtenBy === 'kafka' ? textOf(record, DELIVERY_COUNT) : '')
  return {
    writtenBy,
    origin: originOf(record, dialect),
    groupId: NAME.exec(dialect.group === '' ? '' : textOf(record, dialect.group))?.[0] ?? '',
    error: simpleName(exception),
    message,
    attempts: attempts === null ? 1 : Math.max(1, Number(attempts[0])),
  }
}

/** Programs that pass a dead letter on may add their position behind an earlier one: the first is where it first stood. */
function originOf(record: SourceRecord, dialect: Dialect): Origin | undefined {
  const topic = firstOf(record.headers, dialect.topic)?.toString('utf8') ?? ''
  const read = dialect.integers === 'binary' ? binaryInteger : textInteger
  const partition = read(firstOf(record.headers, dialect.partition))
  const offset = read(firstOf(record.headers, dialect.offset))
  if (!TOPIC.test(topic) || partition === undefined || offset === undefined) return undefined
  if (partition < 0n || partition > 2n ** 31n - 1n || offset < 0n) return undefined
  const timestamp =
    dialect.writtenBy === 'spring' ? binaryInteger(firstOf(record.headers, SPRING_TIMESTAMP)) : undefined
  // Connect and Streams keep the record's own timestamp.
  const timestampMs = timestamp === undefined ? record.timestampMs : Number(timestamp)
  return { topic, partition: Number(partition), offset, timestampMs }
}

function firstOf(headers: readonly Header[], name: string): Buffer | undefined {
  return headers.find(([candidate]) => candidate === name)?.[1]
}

function textInteger(value: Buffer | undefined): bigint | undefined {
  const text = value?.toString('latin1') ?? ''
  return isInt64(text) ? BigInt(text) : undefined
}

/** Java's `int` or `long`. Digits are read as text, which some programs write here, too. */
function binaryInteger(value: Buffer | undefined): bigint | undefined {
  if (value?.length === 4) return BigInt(value.readInt32BE())
  if (value?.length === 8 && textInteger(value) === undefined) return value.readBigInt64BE()
  return textInteger(value)
}

function exceptionOf(record: SourceRecord, names: readonly string[]): string {
  for (const name of names) {
    const found = JAVA_CLASS.exec(textOf(record, name).slice(0, MAX_CLASS_NAME + 1))?.[0]
    if (found !== undefined && found.length <= MAX_CLASS_NAME) return found
  }
  return ''
}

function simpleName(javaClass: string): string {
  return javaClass.split(/[.$]/).findLast(part => part !== '') ?? ''
}

function textOf(record: SourceRecord, name: string): string {
  return headerText(record, name) ?? ''
}
