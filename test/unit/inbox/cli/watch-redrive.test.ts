import { describe, expect, it } from 'vitest'
import { BrokerUnavailableError, StoreUnavailableError } from '#src/engine/errors.ts'
import { type WatchParts, watchRedrive } from '#src/inbox/cli/watch-redrive.ts'
import type { Redrive } from '#src/inbox/redrive-ports.ts'
import { PLAIN_REDRIVE } from '../../../support/plain-redrive.ts'

/** @param told what is told of the redrive each time somebody looks; the last of it stays */
function watching(told: readonly (Partial<Redrive> | Error)[], over: Partial<WatchParts> = {}) {
  let looks = 0
  let nowMs = 0
  const notes: string[] = []
  const paused: string[] = []
  const interrupt = new AbortController()
  let state: Redrive['state'] | undefined
  const watched = watchRedrive('r1', {
    redrives: {
      async get() {
        const next = told[Math.min(looks++, told.length - 1)]
        if (next instanceof Error) throw next
        return { ...PLAIN_REDRIVE, ...next, ...(state === undefined ? {} : { state }) }
      },
      async pause(id) {
        paused.push(id)
        state = 'paused'
        return PLAIN_REDRIVE
      },
    },
    clock: {
      now: () => nowMs,
      monotonic: () => nowMs,
      async sleep(ms) {
        nowMs += ms
      },
    },
    interrupted: interrupt.signal,
    operator: { who: 'ada', because: 'a test' },
    consumers: async () => 1,
    onProgress: () => {},
    onNote: line => notes.push(line),
    ...over,
  })
  return { watched, notes, paused, interrupt, looks: () => looks, now: () => nowMs }
}

describe('watching a redrive', () => {
  it('ends when each published record has been settled once more', async () => {
    const { watched, looks } = watching([
      { state: 'queued' },
      { published: 2, pending: 2 },
      { state: 'done', published: 4, pending: 0, resolved: 1 },
      { state: 'done', published: 4, pending: 0, resolved: 2, failed_again: 1, parked: 1 },
    ])
    expect(await watched).toMatchObject({ redrive: { state: 'done', resolved: 2 }, unsettled: 0 })
    expect(looks()).toBe(4)
  })

  it.each(['paused', 'cancelled', 'failed'] as const)('ends when it is %s, by whomever', async state => {
    const { watched } = watching([{ published: 2 }, { state, published: 3, resolved: 1 }])
    expect(await watched).toMatchObject({ redrive: { state }, unsettled: 2 })
  })

  it('does not wait for a consumer when there is none, and waits long for a slow one', async () => {
    const published = { state: 'done', published: 4, pending: 0, resolved: 1 } as const
    const none = watching([published], { consumers: async () => 0 })
    expect(await none.watched).toMatchObject({ unsettled: 3 })
    expect(none.now()).toBeGreaterThan(4_000)

    let asked = 0
    const slow = watching([...Array.from({ length: 200 }, () => published), { ...published, resolved: 4 }], {
      async consumers() {
        asked += 1
        // Nobody can tell just now: that is no reason to give up
        if (asked === 2) throw new BrokerUnavailableError('away')
        return 2
      },
    })
    expect(await slow.watched).toMatchObject({ unsettled: 0 })
    expect(asked).toBeGreaterThan(5)
    // It may be the storm guard, which waits for an operator
    expect(slow.notes).toEqual([expect.stringContaining('holdfast lag')])
  })

  it('pauses once at Ctrl-C, and ends when that has come to pass', async () => {
    const { watched, interrupt, paused, notes } = watching([{ published: 2, resolved: 2, pending: 2 }])
    interrupt.abort()
    expect(await watched).toMatchObject({ redrive: { state: 'paused' }, unsettled: 0 })
    expect(paused).toEqual(['r1'])
    expect(notes).toEqual([expect.stringContaining('pausing')])
  })

  it('only stops waiting at Ctrl-C when all is published', async () => {
    const { watched, interrupt, paused } = watching([{ state: 'done', published: 4, pending: 0 }])
    interrupt.abort()
    expect(await watched).toMatchObject({ redrive: { state: 'done' }, unsettled: 4 })
    expect(paused).toEqual([])
  })

  it('waits while Postgres is away, but not when it cannot be told to pause', async () => {
    const away = new StoreUnavailableError('away')
    const { watched, notes } = watching([{}, away, away, { state: 'done', pending: 0 }])
    expect(await watched).toMatchObject({ redrive: { state: 'done' } })
    expect(notes).toEqual(['Postgres is away: waiting', 'Postgres is back'])

    const stuck = watching([away])
    stuck.interrupt.abort()
    await expect(stuck.watched).rejects.toThrow(away)
  })
})
