import { describe, expect, it } from 'vitest'
import { CommandFailed, exitCodeOf, failureLines } from '#src/cli/failure.ts'
import {
  BrokerUnavailableError,
  ConfigError,
  StoreMisconfiguredError,
  StoreUnavailableError,
  UsageError,
} from '#src/engine/errors.ts'

const told = (error: unknown, env = {}) => failureLines(error, env).join('\n')

describe('a failure', () => {
  it('says what happened, why, and what to do', () => {
    const cause = new Error('connect ECONNREFUSED 127.0.0.1:9092')
    expect(told(new BrokerUnavailableError('Kafka is away', { cause }))).toBe(
      'error: Kafka is away\n' +
        '  because connect ECONNREFUSED 127.0.0.1:9092\n' +
        '  Check that Kafka runs at KAFKA_BROKERS and speaks KAFKA_SECURITY_PROTOCOL; "holdfast demo" and "docker compose up" start one.',
    )
  })

  it('does not say a cause twice, but names each address that refused', () => {
    const cause = new AggregateError([new Error('refused ::1'), new Error('refused 127.0.0.1')], '')
    expect(told(new StoreUnavailableError('refused', { cause: new Error('refused', { cause }) })).split('\n')).toEqual([
      'error: refused',
      '  because refused ::1, refused 127.0.0.1',
      expect.stringContaining('DATABASE_URL'),
    ])
  })

  it('passes on the advice for what stopped half a job', () => {
    const error = new CommandFailed('5 were not acknowledged', {
      exitCode: 3,
      cause: new BrokerUnavailableError('away'),
    })
    expect(told(error)).toContain('KAFKA_BROKERS')
    expect(exitCodeOf(error)).toBe(3)
  })

  it('gives the advice of a cause once', () => {
    const cause = new StoreMisconfiguredError('Postgres says no', { remedy: 'check user and password in DATABASE_URL' })
    expect(told(new CommandFailed('nothing is proven', { exitCode: 4, cause }))).toBe(
      'error: nothing is proven\n  because Postgres says no\n  Check user and password in DATABASE_URL.',
    )
  })

  it('lists all settings that cannot be used', () => {
    expect(told(new ConfigError(['A is "1"', 'B is "2"']))).toBe(
      'error: 2 settings cannot be used\n  A is "1"\n  B is "2"',
    )
    expect(told(new ConfigError(['A is "1"']))).toBe('error: A is "1"')
  })

  it.each([
    [new UsageError('x'), 2],
    [new ConfigError(['x']), 2],
    [new CommandFailed('x'), 1],
    [new BrokerUnavailableError('x'), 1],
    [new TypeError('x'), 1],
    ['x', 1],
  ])('%s ends with its exit code %d', (error, code) => {
    expect(exitCodeOf(error)).toBe(code)
  })

  it('shows a stack only when debugging', () => {
    const error = new TypeError('bug', { cause: new Error('root') })
    expect(told(error)).not.toMatch(/\n\s+at /)
    expect(told(error, { LOG_LEVEL: 'debug' })).toMatch(/TypeError: bug\n\s+at .*caused by.*Error: root\n\s+at /s)
  })
})
