import { describe, expect, it } from 'vitest'
import { StoreUnavailableError } from '#src/engine/errors.ts'
import { createTimeline, TIMELINE_SPANS, type TimelineSpanName } from '#src/inbox/http/timeline.ts'
import type { TimelineSource } from '#src/inbox/stream-ports.ts'
import { answerOf, startAdmin } from './admin-support.ts'

const NOW = Date.parse('2026-11-29T10:07:23Z')
const EMPTY: TimelineSource = {
  series: async () => ({ steps: [], stops: [] }),
  starts: async () => [],
  actions: async () => [],
}
const timeline = (source: Partial<TimelineSource>, span: TimelineSpanName = '1h') =>
  createTimeline({ ...EMPTY, ...source }, { now: () => NOW })(span)
const STOP = { kind: 'breaker', name: 'postgres', partitions: [] }

describe('the time line of a stream', () => {
  it.each(Object.keys(TIMELINE_SPANS) as TimelineSpanName[])(
    'of %s ends with the step under way, in at most 400 steps',
    async span => {
      const { from, to, step_seconds, rate, dead_letters } = await timeline({}, span)
      const { seconds } = TIMELINE_SPANS[span]
      expect(Date.parse(to) - Date.parse(from)).toBe(seconds * 1_000)
      expect(Date.parse(to) % (step_seconds * 1_000)).toBe(0)
      expect(Date.parse(to) - NOW).toBeLessThanOrEqual(step_seconds * 1_000)
      expect(Date.parse(to)).toBeGreaterThan(NOW)
      expect([rate.length, dead_letters.length]).toEqual([seconds / step_seconds, seconds / step_seconds])
      expect(rate.length).toBeLessThanOrEqual(400)
    },
  )

  it('has null where nothing is known, and figures with one decimal', async () => {
    const steps = [
      { step: 0, rate: 12.345, deadLettered: 2, lagRecords: 7, lagSeconds: 0.44 },
      { step: 2, rate: 0, deadLettered: 0, lagRecords: undefined, lagSeconds: undefined },
    ]
    const shown = await timeline({ series: async () => ({ steps, stops: [] }) }, '15m')
    expect(shown.rate.slice(0, 4)).toEqual([12.3, null, 0, null])
    expect(shown.dead_letters.slice(0, 3)).toEqual([2, null, 0])
    expect(shown.lag_records.slice(0, 3)).toEqual([7, null, null])
    expect(shown.lag_seconds.slice(0, 3)).toEqual([0.4, null, null])
  })

  it('says of a stop whose next step is not written yet that it goes on', async () => {
    const stop = (secondsAgo: number) => ({
      ...STOP,
      from: new Date(NOW - 600_000),
      to: new Date(NOW - secondsAgo * 1_000),
    })
    const shown = await timeline({ series: async () => ({ steps: [], stops: [stop(13), stop(60)] }) })
    expect(shown.stops.map(({ to }) => to)).toEqual([null, '2026-11-29T10:06:23.000Z'])
  })

  it('asks for one more of each than it shows, and says when there were more', async () => {
    const asked: number[] = []
    const at = new Date(NOW)
    const many =
      <T>(entry: T) =>
      async (_window: unknown, limit: number) => {
        asked.push(limit)
        return new Array<T>(limit).fill(entry)
      }
    const series = async (window: unknown, limit: number) => ({
      steps: [],
      stops: await many({ ...STOP, from: at, to: at })(window, limit),
    })
    const starts = many({ at, version: '1.0.0', count: 1, deployed: true })
    const actions = many({ at, who: 'ada', what: 'replay', filter: '', because: '' })
    const shown = await timeline({ series, starts, actions })
    expect(asked.toSorted()).toEqual([101, 101, 201])
    expect([shown.stops.length, shown.starts.length, shown.actions.length]).toEqual([200, 100, 100])
    expect(shown.complete).toBe(false)
    expect((await timeline({})).complete).toBe(true)
  })
})

describe('GET /admin/timeline', () => {
  it('answers the last hour, or the span that is asked for', async () => {
    await using service = await startAdmin()
    service.inbox.past.starts = async () => [{ at: new Date(NOW), version: '1.1.0', count: 2, deployed: true }]
    const { status, body } = await answerOf(service.ask('/admin/timeline'))
    expect([status, body.span, body.rate.length]).toEqual([200, '1h', 360])
    expect(body.starts).toEqual([{ at: '2026-11-29T10:07:23.000Z', version: '1.1.0', count: 2, deployed: true }])
    expect((await answerOf(service.ask('/admin/timeline?span=7d'))).body).toMatchObject({
      span: '7d',
      step_seconds: 1_800,
    })
  })

  it.each(['2h', 'constructor', '1h&span=7d'])('names the spans that there are, asked for %s', async span => {
    await using service = await startAdmin()
    expect(await answerOf(service.ask(`/admin/timeline?span=${span}`))).toMatchObject({
      status: 400,
      body: { code: 'bad_query' },
    })
  })

  it('is 503 while Postgres is away', async () => {
    await using service = await startAdmin()
    service.inbox.past.series = async () => {
      throw new StoreUnavailableError('no connection')
    }
    expect(await answerOf(service.ask('/admin/timeline'))).toMatchObject({
      status: 503,
      body: { code: 'store_unavailable' },
    })
  })
})
