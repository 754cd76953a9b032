import { describe, expect, it } from 'vitest'
import { parseFilter } from '#src/inbox/filter-reader.ts'
import { TIMELINE_SPANS, USUAL_SPAN } from '#src/inbox/http/timeline.ts'
import { SPANS, USUAL_SPAN as USUAL } from '../../../web/console/address.js'
import {
  filterOfSpan,
  happeningsOf,
  happeningWords,
  stepsAround,
  stillOn,
  sumUp,
  sumWords,
  ticksOf,
} from '../../../web/console/past.js'
import { chartOf } from '../../../web/console/timeline-chart.js'

const FROM = Date.parse('2026-11-29T10:00:00Z')
const at = (seconds: number) => new Date(FROM + seconds * 1_000).toISOString()

/** A minute in steps of ten seconds, of which the second is not known. */
const PAST = {
  ...{ span: '15m', from: at(0), to: at(60), step_seconds: 10, complete: true },
  rate: [10, null, 0, 20, 30, null],
  lag_seconds: [0.5, null, 8, 90, null, null],
  lag_records: [1, null, 80, 900, null, null],
  dead_letters: [0, null, 0, 7, 1_200, null],
  stops: [
    { kind: 'pause', name: 'store_away', partitions: [0, 2], from: at(20), to: at(40) },
    { kind: 'breaker', name: 'postgres', partitions: [], from: at(20), to: null },
  ],
  starts: [{ at: at(5), version: '1.1.0', count: 2, deployed: true }],
  actions: [{ at: at(50), who: 'ada', what: 'replay_pause', filter: 'state:open', because: 'not said' }],
}
const all = { fromMs: FROM, toMs: FROM + 60_000 }

describe('the past in numbers and words', () => {
  it('can be looked at in the spans that the API has', () => {
    expect(SPANS.map(([name]) => name)).toEqual(Object.keys(TIMELINE_SPANS))
    expect(USUAL).toBe(USUAL_SPAN)
  })

  it('adds up the steps that begin in a span, and leaves out what is not known', () => {
    expect(sumUp(PAST, all)).toEqual({
      ...{ settled: 600, rate: 15, lagSeconds: 90, lagRecords: 900, letters: 1_207, isKnown: true },
    })
    expect(sumUp(PAST, { fromMs: FROM + 20_000, toMs: FROM + 40_000 })).toMatchObject({ settled: 200, letters: 7 })
    expect(sumUp(PAST, { fromMs: FROM + 10_000, toMs: FROM + 20_000 })).toMatchObject({
      isKnown: false,
      rate: undefined,
    })
    expect(sumUp(PAST, { fromMs: FROM - 90_000, toMs: FROM })).toMatchObject({ settled: 0, isKnown: false })
    expect(sumWords(sumUp(PAST, all))).toBe(
      '600 records settled (15 a second), at most 2 min behind, 1,207 dead letters',
    )
    expect(sumWords(sumUp(PAST, { fromMs: FROM + 10_000, toMs: FROM + 20_000 }))).toMatch(/^nothing is known/)
  })

  it('tells what happened, the latest first, with how long it lasted', () => {
    expect(happeningsOf(PAST).map(one => happeningWords(one, false))).toEqual([
      '10:00:50 UTC: redrive pause by ada (state:open)',
      '10:00:20 UTC: waits for Postgres (partitions 0, 2), for 20 s',
      '10:00:20 UTC: Postgres unreachable, goes on',
      '10:00:05 UTC: 1.1.0 deployed (2 processes)',
    ])
    const partitions = Array.from({ length: 20 }, (_, partition) => partition)
    const [many] = happeningsOf({ ...PAST, stops: [{ ...PAST.stops[0], partitions }], starts: [], actions: [] })
    expect(many?.more).toBe('partitions 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 8 more')
  })

  it('takes whole steps around a part, one at least, and none beyond the axis', () => {
    const around = (from: number, to: number | undefined) => {
      const part = { fromMs: FROM + from * 1_000, toMs: to === undefined ? undefined : FROM + to * 1_000 }
      const { fromMs, toMs } = stepsAround(PAST, part)
      return [(fromMs - FROM) / 1_000, (toMs - FROM) / 1_000]
    }
    expect(around(12, 38)).toEqual([10, 40])
    expect(around(20, 20)).toEqual([20, 30])
    expect(around(-500, 5)).toEqual([0, 10])
    expect(around(45, undefined)).toEqual([40, 60])
    expect(around(60, 90)).toEqual([50, 60])
  })

  it('loses of a part what has left the axis, and the whole of it only when nothing is left', () => {
    const left = (from: number, to: number) => stillOn(PAST, { fromMs: FROM + from * 1_000, toMs: FROM + to * 1_000 })
    expect(left(-10, 20)).toEqual({ fromMs: FROM, toMs: FROM + 20_000 })
    expect(left(10, 60)).toEqual({ fromMs: FROM + 10_000, toMs: FROM + 60_000 })
    expect(left(-10, 10)).toEqual({ fromMs: FROM, toMs: FROM + 10_000 })
    expect(left(-10, 0)).toBeUndefined()
  })

  it('is a filter of dead letters that the service understands', () => {
    const q = filterOfSpan({ fromMs: FROM, toMs: FROM + 90_000 })
    expect(q).toBe('after:2026-11-29T10:00:00Z before:2026-11-29T10:01:30Z')
    expect(parseFilter(q)).toMatchObject({ ok: true })
  })
})

describe('the axis', () => {
  it.each([
    [900, 12, ['10:00', '10:02', '10:04', '10:06', '10:08', '10:10', '10:12', '10:14']],
    [3_600, 4, ['10:00', '10:15', '10:30', '10:45', '11:00']],
    [86_400, 4, ['12:00', '18:00', '30 Nov', '06:00']],
    [7 * 86_400, 8, ['30 Nov', '1 Dec', '2 Dec', '3 Dec', '4 Dec', '5 Dec', '6 Dec']],
  ])('of %i s has at most some %i round moments', (seconds, most, words) => {
    expect(ticksOf({ fromMs: FROM, toMs: FROM + seconds * 1_000 }, most).map(tick => tick.words)).toEqual(words)
  })
})

describe('the chart', () => {
  const { lanes, toX, toMs, height } = chartOf(PAST, 600)
  const shapes = lanes as { tag: string; attributes: Record<string, string>; children: unknown[] }[]
  const of = (kind: string) => shapes.filter(({ attributes }) => attributes.class?.split(' ').includes(kind))

  it('has the moment of a place, and the place of a moment', () => {
    expect([toX(FROM), toX(FROM + 30_000), toMs(300), toMs(-5), toMs(900)]).toEqual([
      ...[0, 300, FROM + 30_000, FROM, FROM + 60_000],
    ])
  })

  it('breaks its lines where nothing is known, rather than going through zero', () => {
    expect(of('line').filter(({ attributes }) => attributes.class === 'line rate')).toHaveLength(2)
    expect(of('unknown').map(({ attributes }) => [attributes.x, attributes.width])).toEqual([['100', '100']])
  })

  it('draws a stop that goes on up to the end, and marks that stand close as one', () => {
    const [away, breaker] = of('stop')
    expect([away?.attributes.x, away?.attributes.width]).toEqual(['200', '200'])
    expect([breaker?.attributes.x, breaker?.attributes.width]).toEqual(['200', '400'])
    const crowd = chartOf({ ...PAST, actions: [...PAST.actions, { ...PAST.actions[0], at: at(51) }] }, 600)
    const marks = (crowd.lanes as typeof shapes).filter(({ attributes }) => attributes.class?.startsWith('mark '))
    expect(marks.map(({ attributes }) => attributes.tabindex)).toEqual(['0', '-1'])
    expect(marks[1]?.attributes['aria-label']).toBe(
      '10:00:50 UTC: redrive pause by ada (state:open); 10:00:51 UTC: redrive pause by ada (state:open)',
    )
  })

  it('draws nothing outside of itself', () => {
    for (const { attributes } of shapes) {
      for (const [name, most] of [
        ['x', 600],
        ['y', height],
        ['x1', 600],
        ['y2', height],
      ] as const) {
        if (attributes[name] === undefined) continue
        expect(Number(attributes[name])).toBeGreaterThanOrEqual(0)
        expect(Number(attributes[name])).toBeLessThanOrEqual(most)
      }
    }
  })

  it('is drawn also where nothing is known, and where nothing happened', () => {
    const none = [null, null, null, null, null, null]
    const nothing = {
      rate: none,
      lag_seconds: none,
      lag_records: none,
      dead_letters: none,
      stops: [],
      starts: [],
      actions: [],
    }
    const empty = chartOf({ ...PAST, ...nothing }, 600)
    expect(JSON.stringify(empty.lanes)).not.toContain('NaN')
    const idle = { rate: [0, 0, 0, 0, 0, 0], dead_letters: [0, 0, 0, 0, 0, 0] }
    expect(JSON.stringify(chartOf({ ...PAST, ...idle }, 600).lanes)).not.toContain('NaN')
  })
})
