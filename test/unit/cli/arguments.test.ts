import { InvalidArgumentError } from 'commander'
import { describe, expect, it } from 'vitest'
import { parseCount, parseDurationMs, parsePercent, parseRate } from '#src/cli/arguments.ts'

describe('flags', () => {
  it.each([
    [parseCount, '0', 0],
    [parseCount, '200000', 200_000],
    [parsePercent, '2%', 0.02],
    [parsePercent, '0.5', 0.005],
    [parsePercent, '100%', 1],
    [parseRate, '500', 500],
    [parseRate, '500/s', 500],
    [parseRate, '90/m', 1.5],
    [parseDurationMs, '30s', 30_000],
    [parseDurationMs, '1.5m', 90_000],
    [parseDurationMs, '500ms', 500],
  ])('%o reads %s as %d', (parse, text, value) => {
    expect(parse(text)).toBeCloseTo(value, 10)
  })

  it.each([
    [parseCount, '-1'],
    [parseCount, '1e3'],
    [parseCount, ''],
    [parsePercent, '101%'],
    [parsePercent, '-2'],
    [parsePercent, 'two'],
    [parseRate, '0/s'],
    [parseRate, '5/h'],
    [parseDurationMs, '30'],
    [parseDurationMs, '0s'],
  ])('%o does not read %s', (parse, text) => {
    expect(() => parse(text)).toThrow(InvalidArgumentError)
  })
})
