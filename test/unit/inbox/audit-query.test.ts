import { describe, expect, it } from 'vitest'
import { type AuditTexts, readAuditFilter } from '#src/inbox/audit-query.ts'

const NOW = Date.UTC(2026, 10, 29, 12)

const read = (texts: AuditTexts) => {
  const result = readAuditFilter(texts, NOW)
  return result.ok ? result.filter : result.what
}

describe('a filter of the audit log', () => {
  it('restricts nothing that it does not name', () => {
    expect(read({})).toEqual({})
    expect(read({ who: undefined, since: undefined })).toEqual({})
  })

  it('takes names and actions, several of each, and the word redrive for what is stored as replay', () => {
    expect(read({ who: 'ada, ben@example.org' })).toEqual({ who: ['ada', 'ben@example.org'] })
    expect(read({ what: 'discard,Seek' })).toEqual({ what: ['discard', 'seek'] })
    expect(read({ what: 'redrive pause' })).toEqual({ what: ['redrive_pause', 'replay_pause'] })
  })

  it.each([
    ['2026-11-29T08:00:00Z', '2026-11-29T08:00:00Z'],
    ['2026-11-29T10:00:00.5+02:00', '2026-11-29T08:00:00.5Z'],
    ['2026-11-28', '2026-11-28T00:00:00Z'],
    ['2026-11-29T08:00', '2026-11-29T08:00:00Z'],
    ['90s', '2026-11-29T11:58:30Z'],
    ['-24h', '2026-11-28T12:00:00Z'],
    ['2w', '2026-11-15T12:00:00Z'],
    ['5000w', '1970-01-01T00:00:00Z'],
    ['yesterday', '2026-11-28T00:00:00Z'],
  ])('takes %s for a time', (text, since) => {
    expect(read({ since: text })).toEqual({ since })
  })

  it.each([
    [{ who: '' }, 'who'],
    [{ who: 'ada,' }, 'who'],
    [{ who: 'a'.repeat(256) }, 'who'],
    [{ what: "discard'; --" }, 'what'],
    [{ since: '2026-02-30' }, 'since'],
    [{ until: 'tomorrow' }, 'until'],
    [{ until: '--1h' }, 'until'],
  ])('names the part that it cannot read: %j', (texts, what) => {
    expect(read(texts)).toBe(what)
  })
})
