import { InvalidArgumentError } from 'commander'
import { describe, expect, it } from 'vitest'
import { parseCount, parseDurationMs, parseLifted, parsePercent, parsePlace, parseRate } from '#src/cli/arguments.ts'

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

  it('a place to move a partition to is an offset, an end, or an instant with its zone', () => {
    expect(parsePlace('81723')).toBe(81_723n)
    expect(parsePlace('latest')).toBe('latest')
    const text = '2026-11-29T08:00:00+02:00'
    expect(parsePlace(text)).toEqual({ timestampMs: Date.UTC(2026, 10, 29, 6), text })
    // Of a record that is a part of a millisecond older, the offset is not the one that is meant.
    expect(parsePlace('1970-01-01T00:00:00.0001Z')).toMatchObject({ timestampMs: 1 })
    for (const wrong of ['', '-1', '2026-11-29', '2026-11-29T08:00:00', 'yesterday', '9'.repeat(19)]) {
      expect(() => parsePlace(wrong), wrong).toThrow(InvalidArgumentError)
    }
  })

  it('a kind of pause is one of those that there are', () => {
    expect(['operator', 'storm_guard', 'all'].map(parseLifted)).toEqual(['operator', 'storm_guard', 'all'])
    expect(() => parseLifted('halted')).toThrow(/operator, storm_guard, all/)
  })
})
