import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import {
  brokenBy,
  brokenProcesses,
  compareVersions,
  needyProcesses,
  requireNobodyInTheWay,
} from '#src/engine/postgres/migration-rules.ts'

const folder = new URL('../../../../migrations/', import.meta.url)

/** Answers as a database on which these processes run. */
function running(...rows: readonly { version: string; migration: string }[]) {
  return async (text: string) => {
    if (text.includes('AS there')) return [{ there: true }]
    if (text.includes('pg_stat_activity')) return []
    return rows.map((row, i) => ({ ...row, roles: ['consumer'], host: 'web', pid: i + 1 }))
  }
}

describe('a migration', () => {
  it('says in its first line which versions it breaks', () => {
    expect(brokenBy('-- breaks: versions before 0.3.0\n-- Up Migration\n')).toBe('0.3.0')
    expect(brokenBy('-- Up Migration\n-- breaks: versions before 0.3.0\n')).toBeUndefined()
  })

  it.each(readdirSync(folder))('%s says so as it is read, if it says so', name => {
    const text = readFileSync(new URL(name, folder), 'utf8')
    if (/^--\s*breaks/im.test(text)) expect(brokenBy(text)).toBeDefined()
  })

  it('is refused while a version runs that it breaks, and not for one that knows it or needs nothing of it', async () => {
    const ask = running(
      { version: '0.2.9', migration: '0030_a' },
      { version: '0.2.10-dev', migration: '0031_b' },
      { version: '0.3.0', migration: '0030_a' },
    )
    const inTheWay = await brokenProcesses(ask, 'holdfast', [{ name: '0031_b', before: '0.3.0' }])
    expect(inTheWay.map(({ processes }) => processes.map(({ what }) => what))).toEqual([
      ['0.2.9 on web, pid 1 (consumer)'],
    ])
    expect(() => requireNobodyInTheWay('up', inTheWay)).toThrow(
      'no migration was applied: 0031_b breaks what runs (versions before 0.3.0 cannot work with it): 0.2.9 on web, pid 1 (consumer)',
    )
  })

  it('is not taken back while a process runs that knows it', async () => {
    const ask = running({ version: '0.2.0', migration: '0023_x' }, { version: '0.1.0', migration: '0021_y' })
    const inTheWay = await needyProcesses(ask, 'holdfast', ['0023_x', '0022_y'])
    expect(inTheWay.map(({ migration, processes }) => [migration, processes.length])).toEqual([
      ['0023_x', 1],
      ['0022_y', 1],
    ])
    expect(() => requireNobodyInTheWay('down', inTheWay)).toThrow(/^no migration was taken back: 0023_x is needed by/)
    expect(() => requireNobodyInTheWay('down', [])).not.toThrow()
  })
})

it.each([
  ['0.2.0', '0.10.0', -1],
  ['1.0.0', '0.9.9', 1],
  ['0.3.0-rc.1', '0.3.0', 0],
])('%s against %s: %i', (one, other, sign) => {
  expect(Math.sign(compareVersions(one, other))).toBe(sign)
})
