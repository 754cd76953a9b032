import { Writable } from 'node:stream'
import { isatty } from 'node:tty'
import { type DestinationStream, type Logger as PinoLogger, pino, stdTimeFunctions } from 'pino'
import { PinoPretty } from 'pino-pretty'
import type { TraceIds } from '../engine/tracing.ts'
import { visibleLines } from '../engine/visible.ts'
import { LOG_MODULES, type LogLevels, type LogModule } from '../settings/log-levels.ts'
import { describeError } from './describe-error.ts'

export interface Logger {
  /** The log of a module: its lines name it in `module`, and it may have a level of its own. */
  of(module: LogModule): PinoLogger
}

export interface LoggerOptions {
  readonly levels: LogLevels
  /** `stdout` for a service; `stderr` for a command, whose stdout is data. Or a stream, for tests. */
  readonly to?: 'stdout' | 'stderr' | DestinationStream
  /** Lines for people instead of JSON. Default: when it goes to a terminal. */
  readonly pretty?: boolean
  /** Whether lines for people are coloured. Default: true. `NO_COLOR` is for the caller to read. */
  readonly colour?: boolean
  /** The trace of the current work, which goes into the line. Default: none. */
  readonly activeTrace?: () => TraceIds | undefined
}

/** Order data has no business in a log line; should an object slip in under one of these names, it stays out all the same. */
const REDACTED = ['order', 'delivery', 'payment', 'items', 'value', 'payload', 'headers']

/**
 * JSON lines with `time` (RFC 3339), `level` by name, `module`, `event` (stable) and `msg` (for people). Written synchronously: the
 * lines that matter most are the last ones before the process ends.
 */
export function createLogger(options: LoggerOptions): Logger {
  const { level, modules } = options.levels
  const root = pino(
    {
      base: { pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: level => ({ level }) },
      serializers: { error: describeError, err: describeError },
      redact: { paths: REDACTED, censor: '[redacted]' },
      ...(options.activeTrace === undefined ? {} : { mixin: traceFields(options.activeTrace) }),
    },
    openDestination(options),
  )
  const logs = new Map(
    LOG_MODULES.map(module => [module, root.child({ module }, { level: modules[module] ?? level })] as const),
  )
  return { of: module => logs.get(module) ?? root }
}

/** A line that names its trace itself (of a request that is over, say) keeps that. */
function traceFields(active: () => TraceIds | undefined): (line: object) => object {
  return line => {
    const trace = 'trace_id' in line ? undefined : active()
    return trace === undefined ? {} : { trace_id: trace.traceId, span_id: trace.spanId }
  }
}

function openDestination({ to = 'stdout', pretty, colour = true }: LoggerOptions): DestinationStream {
  const given = typeof to === 'object' ? to : undefined
  const fd = to === 'stdout' ? 1 : 2
  const forPeople = pretty ?? (given === undefined && isatty(fd))
  if (given !== undefined && !forPeople) return given
  // What a broker or a client has written must not steer the terminal that it is shown on.
  const plain = given ?? pino.destination({ fd, sync: true })
  const stream = forPeople
    ? PinoPretty({
        destination: visibleOnly(plain, colour),
        sync: true,
        colorize: colour,
        ignore: 'pid,event,module,stream,trace_id,span_id',
        messageFormat: '{module}{if stream} {stream}{end}: {msg}',
        translateTime: 'SYS:HH:MM:ss.l',
        singleLine: true,
        // Else an error takes a line for each of its fields, `singleLine` or not.
        errorLikeObjectKeys: [],
      })
    : plain
  // The reader of our lines has gone (`holdfast serve | head`): the process goes on.
  for (const one of [stream, plain]) if ('on' in one && typeof one.on === 'function') one.on('error', () => {})
  return stream
}

function visibleOnly(to: DestinationStream, colour: boolean): Writable {
  return new Writable({
    decodeStrings: false,
    write(text: string | Buffer, _encoding, done) {
      to.write(visibleLines(String(text), colour))
      done()
    },
  })
}
