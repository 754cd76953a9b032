import { describe, expect, it } from 'vitest'
import { FILTER_FIELDS } from '#src/inbox/filter.ts'
import { parseFilter } from '#src/inbox/filter-reader.ts'
import { addToGroups } from '../../../web/console/found-groups.js'
import { accepted, proposalsAt } from '../../../web/console/proposals.js'

const VALUES = {
  error: ['required', 'not json', 'format'],
  pointer: ['', '/payment/amount', '/delivery/email'],
  partition: ['0', '12'],
}

/** Proposals at the `|`. */
function at(marked: string, asked = false) {
  const filter = marked.replace('|', '')
  const proposals = proposalsAt(filter, marked.indexOf('|'), VALUES, asked)
  return { filter, proposals, texts: proposals.list.map(({ text }) => text) }
}

/** The filter once the proposal was taken, with the caret as `|`. */
function taking(marked: string, text: string): string {
  const { filter, proposals } = at(marked)
  const proposal = proposals.list.find(one => one.text === text)
  if (proposal === undefined) throw new Error(`${text} is not among ${proposals.list.map(one => one.text).join(' ')}`)
  const done = accepted(filter, proposals, proposal)
  return `${done.filter.slice(0, done.caret)}|${done.filter.slice(done.caret)}`
}

describe('a filter is completed', () => {
  it('by its fields', () => {
    expect(at('re|').texts).toEqual(['reason:', 'replays:', 'replay:'])
    expect(at('state:open -PO|').texts).toEqual(['pointer:'])
    expect(taking('state:open -po|', 'pointer:')).toBe('state:open -pointer:|')
    expect(taking('re| state:open', 'reason:')).toBe('reason:| state:open')
    expect(taking('er|ror:required', 'error:')).toBe('error:|required')
    expect(at('zzz|').texts).toEqual([])
  })

  it('by values, that are quoted where they have to be', () => {
    expect(at('state:re|').texts).toEqual(['replaying', 'resolved'])
    expect(at('error:n|').texts).toEqual(['"not json"'])
    expect(taking('error:n|', '"not json"')).toBe('error:"not json" |')
    expect(taking('error:"not|', '"not json"')).toBe('error:"not json" |')
    expect(taking('pointer:email| state:open', '/delivery/email')).toBe('pointer:/delivery/email| state:open')
    expect(at('value:/pay|').texts).toEqual(['/payment/amount'])
    expect(at('partition:1|').texts).toEqual(['12'])
    expect(at('after:|').texts).toContain('yesterday')
  })

  it('one alternative at a time', () => {
    expect(taking('error:required,f|', 'format')).toBe('error:required,format |')
    expect(taking('error:re|,format', 'required')).toBe('error:required|,format')
    expect(at('error:"a,b",f|').texts).toEqual(['format'])
  })

  it('only where something is typed, unless it is asked for', () => {
    expect(at('|').texts).toEqual([])
    expect(at('state:open |').texts).toEqual([])
    expect(at('state:open |', true).texts).toHaveLength(FILTER_FIELDS.length)
    expect(at('state:open|').texts).toEqual([])
    expect(at('b563feb7|').texts).toEqual([])
    expect(at('"a text|').texts).toEqual([])
  })

  it('with what the grammar reads', () => {
    for (const field of FILTER_FIELDS) {
      const { proposals, texts } = at(`${field}:|`, true)
      for (const proposal of proposals.list) {
        const { filter } = accepted(`${field}:`, proposals, proposal)
        expect(parseFilter(filter), filter).toMatchObject({ ok: true })
      }
      expect(at(`${field}|`).texts.concat(texts)).not.toEqual([])
    }
  })
})

describe('what a search finds', () => {
  it('is counted by cause, with the latest as a sample', () => {
    const row = (id: string, failed_at: string, state = 'open', pointer = '/a') => {
      return {
        id,
        key: id,
        message: id,
        reason: 'r',
        error: 'e',
        pointer,
        state,
        failed_at,
        first_failed_at: failed_at,
      }
    }
    const first = addToGroups([], [row('1', '2026-01-02'), row('2', '2026-01-03', 'parked')])
    const groups = addToGroups(first, [row('3', '2026-01-01'), row('4', '2026-01-01', 'open', '/b')])
    expect(groups).toEqual([
      {
        ...{ reason: 'r', error: 'e', pointer: '/a', count: 3, states: { open: 2, parked: 1 } },
        ...{ first_seen: '2026-01-01', last_seen: '2026-01-03', sample: { id: '2', key: '2', message: '2' } },
      },
      expect.objectContaining({ pointer: '/b', count: 1 }),
    ])
  })
})
