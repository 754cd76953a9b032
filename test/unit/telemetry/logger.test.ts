import { describe, expect, it } from 'vitest'
import { StoreUnavailableError } from '#src/core/errors.ts'
import { describeError } from '#src/telemetry/describe-error.ts'
import { telemetry } from './support.ts'

describe('a log line', () => {
  it('is JSON with time, level by name, event and text', () => {
    const { logger, lines } = telemetry()
    logger.info({ event: 'hello', topic: 'orders' }, 'said hello')
    expect(lines[0]).toMatchObject({ level: 'info', event: 'hello', topic: 'orders', msg: 'said hello' })
    expect(lines[0]?.time).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
  })

  it('keeps an order out that somebody hands in by mistake', () => {
    const { logger, lines } = telemetry()
    logger.info({ order: { delivery: { name: 'Test Testov' } }, value: 'Test Testov', items: [] }, 'oops')
    expect(JSON.stringify(lines)).not.toContain('Testov')
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
    logger.error({ err: new StoreUnavailableError('the store is away', { cause: refused }) }, 'one')
    logger.error({ error: refused }, 'two')
    expect(JSON.stringify(lines)).not.toMatch(/Testov|9720000000/)
    expect(lines[0]).toMatchObject({ err: { code: 'store_unavailable', cause: { code: '22P02' } } })
    expect(lines[1]).toMatchObject({ error: { code: '22P02' } })
  })
})

describe('an error', () => {
  it('of JSON.parse is told without the text that it quotes', () => {
    let thrown: unknown
    try {
      JSON.parse('{"name": Testov}')
    } catch (error) {
      thrown = error
    }
    expect(thrown).toHaveProperty('message', expect.stringContaining('Testov'))
    const described = describeError(thrown)
    expect(described.type).toBe('SyntaxError')
    expect(JSON.stringify(described)).not.toContain('Testov')
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
