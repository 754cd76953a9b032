import { describe, expect, it } from 'vitest'
import { printFilter } from '#src/inbox/filter.ts'
import { redriveAutomatically } from '#src/inbox/jobs/automatic-redrive.ts'
import {
  NothingToRedriveError,
  type Redrive,
  type RedriveRequest,
  RedriveRunningError,
} from '#src/inbox/redrive-ports.ts'

const DELAYS_MS = [600_000, 3_600_000, 21_600_000]
const NOW_MS = Date.UTC(2026, 0, 1)
const NOTHING = { count: 0, by_reason: {}, oldest: null, newest: null, left_out: {}, held_by: [], check: null }
const NONE = new NothingToRedriveError(NOTHING)
const aRedrive = (over: Partial<Redrive> = {}) =>
  ({ id: 'r1', automatic: true, state: 'done', total: 1, skipped: 0, created_at: ago(1), ...over }) as Redrive
const ago = (minutes: number) => new Date(NOW_MS - minutes * 60_000).toISOString()

/** @param answers what each start comes to, in their order */
function jobParts(answers: readonly (Redrive | Error)[], earlier: readonly Redrive[] = []) {
  const requests: RedriveRequest[] = []
  const redrives = {
    list: async () => [...earlier],
    async start(request: RedriveRequest) {
      const answer = answers[requests.length]
      requests.push(request)
      if (answer === undefined || answer instanceof Error) throw answer ?? new Error('not expected')
      return answer
    },
  }
  const automatic = { status: async () => ({ on: true, changed_by: null, changed_at: null, next_run: null }) }
  return { parts: { redrives, automatic, automaticDelaysMs: DELAYS_MS, now: () => NOW_MS }, requests }
}

describe('an automatic redrive', () => {
  it('takes what has waited for its turn: the longer, the more often it failed', async () => {
    const { parts, requests } = jobParts([NONE, NONE, aRedrive()])
    expect(await redriveAutomatically(parts)).toEqual(aRedrive())
    const causes = 'reason:retries_exhausted,unexpected_error state:open'
    expect(requests.map(request => printFilter(request.filter))).toEqual([
      `${causes} replays:0 age:>10m`,
      `${causes} replays:1 age:>1h`,
      `${causes} replays:2 age:>6h`,
    ])
    expect(requests.every(request => request.automatic && request.rate !== undefined)).toBe(true)
    // It has limits of its own: how often, and after how long.
    expect(requests.every(request => request.guard.canary === 0 && request.guard.maxFailures === null)).toBe(true)
  })

  it('starts one at a time, and none beside that of an operator', async () => {
    expect((await redriveAutomatically(jobParts([aRedrive()]).parts))?.id).toBe('r1')
    const busy = jobParts([new RedriveRunningError(aRedrive())])
    expect(await redriveAutomatically(busy.parts)).toBeUndefined()
    expect(busy.requests).toHaveLength(1)
  })

  it('does nothing while it is switched off, or while an operator holds one', async () => {
    const off = jobParts([])
    const status = async () => ({ on: false, changed_by: 'ada', changed_at: null, next_run: null })
    expect(await redriveAutomatically({ ...off.parts, automatic: { status } })).toBeUndefined()
    expect(off.requests).toEqual([])

    const held = jobParts([], [aRedrive({ state: 'paused' })])
    expect(await redriveAutomatically(held.parts)).toBeUndefined()
    const own = jobParts([aRedrive()], [aRedrive({ state: 'paused', automatic: false })])
    expect(await redriveAutomatically(own.parts)).toBeDefined()
  })

  it('lets letters wait as long again that the last one could not publish, or that an operator took from it', async () => {
    const { parts, requests } = jobParts(
      [NONE, NONE, NONE],
      [
        aRedrive({ id: 'rgone', skipped: 2, created_at: ago(9) }),
        aRedrive({ id: 'rcancelled', state: 'cancelled', created_at: ago(59) }),
        aRedrive({ id: 'rfailed', state: 'failed', created_at: ago(359) }),
        aRedrive({ id: 'rlong', skipped: 2, created_at: ago(361) }),
        aRedrive({ id: 'rgood' }),
        aRedrive({ id: 'rown', skipped: 2, automatic: false }),
      ],
    )
    await redriveAutomatically(parts)
    expect(requests.map(({ filter }) => printFilter(filter).split(' ').slice(4))).toEqual([
      ['-replay:rgone'],
      ['-replay:rgone,rcancelled'],
      ['-replay:rgone,rcancelled,rfailed'],
    ])
  })

  it('finds nothing when nothing is due, and does not hide what goes wrong', async () => {
    expect(await redriveAutomatically(jobParts([NONE, NONE, NONE]).parts)).toBeUndefined()
    await expect(redriveAutomatically(jobParts([new Error('away')]).parts)).rejects.toThrow('away')
  })
})
