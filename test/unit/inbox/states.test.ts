import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CAUSE_STATES } from '#src/inbox/causes.ts'
import { consoleStates } from '#src/inbox/console-states.ts'
import {
  DEAD_LETTER_STATES,
  LETTER_MOVES,
  LETTER_STATES,
  leftOutWords,
  MEMBER_STATES,
  nextState,
  offers,
  REDRIVE_STATES,
  REDRIVES,
} from '#src/inbox/letter-states.ts'

/** States of a CHECK in the file of a migration, by the table that it stands in. */
function checked(file: string, table: string): string[] {
  const text = readFileSync(new URL(`../../../migrations/${file}.sql`, import.meta.url), 'utf8')
  const made = text.slice(text.indexOf(`CREATE TABLE ${table} (`))
  const [, list = ''] = /CHECK \(state IN \(([^)]*)\)\)/.exec(made) ?? []
  return list.split(', ').map(name => name.slice(1, -1))
}

describe('the states of the tables', () => {
  it('are those that the database takes', () => {
    expect(checked('0003_dead_letters', 'dead_letters').sort()).toEqual([...DEAD_LETTER_STATES].sort())
    expect(checked('0006_dead_letter_inbox', 'replays')).toEqual([...REDRIVE_STATES])
    expect(checked('0019_causes', 'causes')).toEqual(Object.keys(CAUSE_STATES))
    expect(checked('0006_dead_letter_inbox', 'replay_items')).toEqual(Object.keys(MEMBER_STATES))
  })

  it('are those that the console knows', async () => {
    const states = await import(new URL('../../../web/console/states.js', import.meta.url).href)
    expect({ ...states }).toEqual(consoleStates())
  })

  it('let only one redrive of a stream be under way: those are the states of the index that holds it', () => {
    const text = readFileSync(new URL('../../../migrations/0014_streams.sql', import.meta.url), 'utf8')
    const [, list = ''] = /replays_one_at_a_time ON replays \(stream\)\s+WHERE state IN \(([^)]*)\)/.exec(text) ?? []
    const underWay = REDRIVE_STATES.filter(state => REDRIVES[state].underWay)
    expect(list).toBe(underWay.map(state => `'${state}'`).join(', '))
  })
})

describe('a redrive', () => {
  it('that has ended stays as it ended, whatever is asked of it', () => {
    const steps = ['pause', 'resume', 'cancel'] as const
    for (const state of REDRIVE_STATES.filter(state => REDRIVES[state].final)) {
      for (const step of steps) expect(nextState(state, step, true) ?? state).toBe(state)
    }
  })

  it('obeys the same step once more by staying as it is, and is not left to a worker that is gone', () => {
    const walk = fc.array(fc.tuple(fc.constantFrom('pause', 'resume', 'cancel'), fc.boolean()), { maxLength: 8 })
    fc.assert(
      fc.property(fc.constantFrom(...REDRIVE_STATES), walk, (first, steps) => {
        let state = first
        for (const [step, alive] of steps) {
          const next = nextState(state, step, alive)
          if (next === undefined) continue
          expect(nextState(next, step, alive), `${state} ${step}`).toBe(next)
          if (!alive && step !== 'resume') expect(REDRIVES[next].held, `${state} ${step}`).toBe(false)
          state = next
        }
      }),
    )
  })

  it('offers what would change it: one that failed or is over offers nothing', () => {
    expect(REDRIVE_STATES.filter(state => offers(state, 'resume'))).toEqual(['pausing', 'paused'])
    expect(REDRIVE_STATES.filter(state => offers(state, 'cancel'))).toEqual(['queued', 'running', 'pausing', 'paused'])
  })
})

describe('a dead letter', () => {
  it('that is settled leaves that state only when a discard is undone', () => {
    const leaving = Object.entries(LETTER_MOVES).filter(([, { from }]) =>
      from.some(state => LETTER_STATES[state].settled),
    )
    expect(leaving.map(([name]) => name)).toEqual(['restore'])
  })

  it('that is left out of a redrive is counted with its reason, in words and in one order', () => {
    expect(leftOutWords({ over_limit: 3, place_unknown: 2, not_open: 1 })).toBe(
      '1 not open, 2 at a place that is not known ("holdfast dlq reindex" finds it), 3 beyond the limit',
    )
    expect(leftOutWords({})).toBe('')
  })
})
