import { Writable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { StoreUnavailableError } from '#src/engine/errors.ts'
import type { TraceIds } from '#src/engine/tracing.ts'
import { parseLogLevels } from '#src/settings/log-levels.ts'
import { describeError } from '#src/telemetry/describe-error.ts'
import { createLogger } from '#src/telemetry/logger.ts'
import { telemetry } from './support.ts'

describe('a log line', () => {
  it('is JSON with time, level by name, event and text', () => {
    const { logger, lines } = telemetry()
    logger.of('process').info({ event: 'hello', topic: 'orders' }, 'said hello')
    expect(lines[0]).toMatchObject({ level: 'info', event: 'hello', topic: 'orders', msg: 'said hello' })
    expect(lines[0]?.time).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
  })

  it('keeps an order out that somebody hands in by mistake', () => {
    const { logger, lines } = telemetry()
    logger.of('process').info({ order: { delivery: { name: 'Test Testov' } }, value: 'Test Testov', items: [] }, 'oops')
    expect(JSON.stringify(lines)).not.toContain('Testov')
  })

  it('is one line for people, too, also where it tells of an error, and coloured only where that is wanted', () => {
    const written = (colour: boolean, cause = 'refused') => {
      let text = ''
      const to = new Writable({
        write(chunk, _, done) {
          text += chunk
          done()
        },
      })
      const logger = createLogger({ levels: { level: 'info', modules: {} }, to, pretty: true, colour })
      const error = new StoreUnavailableError('the store is away', { cause: new Error(cause) })
      logger.of('stream').warn({ event: 'retry', attempt: 2, error }, 'trying again')
      return text
    }
    expect(written(false)).toMatch(
      /^\[[\d:.]+\] WARN: stream: trying again \{"attempt":2,"error":\{.*"the store is away".*\}\}\n$/,
    )
    expect(written(true)).toContain('\u001b[')
    // What a broker has said steers no terminal
    const hostile = written(true, '\u001b[2J\u009b31m\u202e')
    expect(hostile).toMatch(/\\u009b31m\\u202e/)
    for (const raw of ['\u001b[2J', '\u009b', '\u202e']) expect(hostile).not.toContain(raw)
  })

  it('never holds what a library quotes in its errors', () => {
    const { logger, lines } = telemetry()
    // The shape of pg's DatabaseError.
    const refused = Object.assign(new Error('invalid input syntax for type bigint: "Test Testov"'), {
      name: 'error',
      severity: 'ERROR',
      code: '22P02',
      detail: 'Failing row contains (Test Testov, +9720000000).',
      routine: 'pg_strtoint64_safe',
    })
    logger.of('process').error({ err: new StoreUnavailableError('the store is away', { cause: refused }) }, 'one')
    logger.of('process').error({ error: refused }, 'two')
    expect(JSON.stringify(lines)).not.toMatch(/Testov|9720000000/)
    expect(lines[0]).toMatchObject({ err: { code: 'store_unavailable', cause: { code: '22P02' } } })
    expect(lines[1]).toMatchObject({ error: { code: '22P02' } })
  })
})

describe('the level', () => {
  it('is that of the module, where it has one, and the line names the module', () => {
    const { logger, lines } = telemetry({ level: 'warn', modules: { kafka: 'debug', http: 'silent' } })
    logger.of('kafka').debug({ event: 'a' }, 'told')
    logger.of('stream').info({ event: 'b' }, 'not told')
    logger.of('stream').warn({ event: 'c' }, 'told')
    logger.of('http').fatal({ event: 'd' }, 'not told')
    expect(lines.map(({ module, event }) => `${module} ${event}`)).toEqual(['kafka a', 'stream c'])
  })

  it.each([
    ['warn', { level: 'warn', modules: {} }],
    ['info,kafka=debug,http=warn', { level: 'info', modules: { kafka: 'debug', http: 'warn' } }],
    [' Stream = Silent , ERROR', { level: 'error', modules: { stream: 'silent' } }],
    ['kafka=trace', { level: 'info', modules: { kafka: 'trace' } }],
    ['loud', undefined],
    ['info,', undefined],
    ['info,warn', undefined],
    ['nowhere=info', undefined],
    ['kafka=info,kafka=warn', undefined],
    ['kafka=debug=info', undefined],
  ])('is read from %j', (text, levels) => {
    expect(parseLogLevels(text)).toEqual(levels)
  })
})

describe('a line', () => {
  it('names the trace of what it tells of, unless it names another one', () => {
    const lines: string[] = []
    const trace = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: false }
    let active: TraceIds | undefined = trace
    const levels = { level: 'info', modules: {} } as const
    const logger = createLogger({ levels, to: { write: line => lines.push(line) }, activeTrace: () => active })
    logger.of('http').info({ event: 'a' }, 'inside')
    logger.of('http').info({ event: 'b', trace_id: 'c'.repeat(32) }, 'of another')
    active = undefined
    logger.of('http').info({ event: 'c' }, 'outside')
    expect(lines.map(line => JSON.parse(line)).map(({ trace_id, span_id }) => [trace_id, span_id])).toEqual([
      [trace.traceId, trace.spanId],
      ['c'.repeat(32), undefined],
      [undefined, undefined],
    ])
  })
})

describe('an error', () => {
  it.each([
    ['JSON.parse', 'SyntaxError', () => JSON.parse('{"name": Testov}')],
    ['Node about an argument', 'TypeError', () => setTimeout('Testov' as never)],
    ['Node about a value', 'TypeError', () => Buffer.alloc(4, 'Testov', 'hex')],
    ['Node about a number', 'RangeError', () => Buffer.alloc(4).writeInt32BE(79_161_234_567), '79_161_234_567'],
  ])('of %s is told without the text that it quotes', (_, type, work, quoted = 'Testov') => {
    let thrown: unknown
    try {
      work()
    } catch (error) {
      thrown = error
    }
    expect(thrown).toHaveProperty('message', expect.stringContaining(quoted))
    const described = describeError(thrown)
    expect(described.type).toBe(type)
    expect(JSON.stringify(described)).not.toContain(quoted)
  })

  it('of a socket keeps its words, because they say what to do', () => {
    const cause = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:5432'), { code: 'ECONNREFUSED' })
    expect(describeError(new StoreUnavailableError('away', { cause, sqlState: '57P03' }))).toEqual({
      type: 'StoreUnavailableError',
      message: 'away',
      code: 'store_unavailable',
      sql_state: '57P03',
      cause: { type: 'Error', message: 'connect ECONNREFUSED 127.0.0.1:5432', code: 'ECONNREFUSED' },
    })
  })

  it('that nobody foresaw comes with its frames', () => {
    expect(describeError(new TypeError('x is not a function')).stack).toMatch(/^at .*logger\.test\.ts/)
  })

  it('that causes itself ends', () => {
    const error = new Error('round')
    error.cause = error
    expect(JSON.stringify(describeError(error)).match(/round/g)?.length).toBeLessThan(10)
  })

  it('that is no error is told by its type only', () => {
    expect(describeError('Test Testov')).toEqual({ type: 'string' })
  })
})
