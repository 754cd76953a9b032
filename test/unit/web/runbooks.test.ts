import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { PAUSE_REASONS } from '#src/engine/facts.ts'
import { dashboardLink, runbookLink, runbookOfStop, runbooksOf, useDashboard } from '../../../web/console/runbooks.js'
import { readBoards } from '../../support/dashboards.ts'

const RUNBOOKS = readdirSync(new URL('../../../docs/runbooks/', import.meta.url)).map(file => file.replace('.md', ''))
const fine = { state: 'running', lag_seconds: 0.2, breakers: [], partitions: [], checks: [], dead_letters: { open: 0 } }

describe('each trouble has a runbook', () => {
  it.each([
    [{}, []],
    [{ lag_seconds: 125 }, ['HoldfastLagHigh']],
    [{ state: 'halted', checks: [{ name: 'stream', ok: false }] }, ['HoldfastStreamHalted']],
    [{ breakers: [{ dependency: 'kafka', open: true }] }, ['HoldfastBreakerOpen']],
    [{ store_silent_seconds: 20 }, ['HoldfastBreakerOpen']],
    [{ partitions: [{ paused: ['storm_guard'] }] }, ['HoldfastStormGuard']],
    [{ partitions: [{ halted: 'another topic' }] }, ['HoldfastPartitionHalted']],
    [{ partitions: [{ unreadable: 'no leader' }] }, ['HoldfastNoProgress']],
    [{ partitions: [{ contended: 'a lock' }] }, ['HoldfastNoProgress']],
    [{ partitions: [{ stalled_seconds: 61 }] }, ['HoldfastNoProgress']],
    // Between two batches of a stream that is fine.
    [{ partitions: [{ stalled_seconds: 0.17 }] }, []],
    [{ checks: [{ name: 'group_member', ok: false }] }, ['HoldfastNotReady']],
    [{ dead_letters: { open: 3, oldest_age_seconds: 60, attention: { new: 1 } } }, ['HoldfastDeadLettersArriving']],
    [{ dead_letters: { open: 3, oldest_age_seconds: 90_000, attention: {} } }, []],
    [
      { dead_letters: { open: 3, oldest_age_seconds: 90_000, attention: { due: 1 } } },
      ['HoldfastDeadLettersUntouched'],
    ],
    [
      {
        lag_seconds: 600,
        partitions: [{ paused: ['storm_guard'] }],
        dead_letters: { open: 1_000, attention: { new: 1 } },
      },
      ['HoldfastStormGuard', 'HoldfastLagHigh', 'HoldfastDeadLettersArriving'],
    ],
  ])('%o', (change, names) => {
    expect(runbooksOf({ ...fine, ...change })).toEqual(names)
    for (const name of names) expect(RUNBOOKS).toContain(name)
  })

  it('and so has each stop of the time line', () => {
    const stops = [
      // Backpressure is no trouble, and who holds a partition knows why.
      ...PAUSE_REASONS.filter(reason => reason !== 'backpressure' && reason !== 'operator').map(name => ({
        kind: 'pause',
        name,
      })),
      { kind: 'breaker', name: 'postgres' },
      { kind: 'stream', name: 'halted' },
    ]
    for (const stop of stops) expect(RUNBOOKS, stop.name).toContain(runbookOfStop(stop))
    expect(runbookOfStop({ kind: 'pause', name: 'new' })).toBeUndefined()
  })

  it('whose link says what it is about', () => {
    expect(runbookLink('HoldfastDeadLettersArriving')).toMatchObject({
      attributes: { href: '/admin/runbooks/HoldfastDeadLettersArriving' },
      children: ['Dead letters arriving'],
    })
  })
})

describe('the dashboard', () => {
  it('is linked where it is known, with the span of time', () => {
    expect(dashboardLink()).toBeUndefined()
    useDashboard('https://grafana.test/d/holdfast-stream?var-stream=orders')
    expect(dashboardLink({ fromMs: 1_000, toMs: 2_000 })?.attributes.href).toBe(
      'https://grafana.test/d/holdfast-stream?var-stream=orders&from=1000&to=2000',
    )
    useDashboard(undefined)
  })

  it('is there, and knows the variable', () => {
    const board = readBoards().find(({ uid }) => uid === 'holdfast-stream')
    expect(JSON.stringify(board)).toContain('"name":"stream"')
  })
})
