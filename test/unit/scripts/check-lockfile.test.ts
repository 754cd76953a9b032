import { describe, expect, it } from 'vitest'
import lockfile from '../../../package-lock.json' with { type: 'json' }
import { type Locked, lockfileProblems } from '../../../scripts/check-lockfile.ts'

const sound: Locked = { version: '1.0.0', integrity: 'sha512-abc=', license: 'MIT' }
const problemsOf = (changed: Partial<Locked>) =>
  lockfileProblems({ '': {}, 'node_modules/a': { ...sound, ...changed } })

describe('package-lock.json', () => {
  it('pins every package, and has licences that a program under MIT may be shipped with', () => {
    expect(lockfileProblems(lockfile.packages as Record<string, Locked>)).toEqual([])
    expect(Object.keys(lockfile.packages).length).toBeGreaterThan(100)
  })
})

describe('a package', () => {
  it.each(['MIT', '(MIT OR CC0-1.0)', 'GPL-3.0-only OR MIT', 'Apache-2.0 AND MIT'])(
    'may have the licence %s',
    license => {
      expect(problemsOf({ license })).toEqual([])
    },
  )

  it.each(['GPL-3.0-only', 'MIT AND GPL-3.0-only', 'SEE LICENSE IN LICENSE', undefined])(
    'is named when it has the licence %s',
    license => {
      const { license: _, ...rest } = sound
      const problems = lockfileProblems({ 'node_modules/a': license === undefined ? rest : { ...rest, license } })
      expect(problems).toEqual([expect.stringContaining('a 1.0.0 has the licence')])
    },
  )

  it('of development may have any licence, but is pinned as well', () => {
    expect(problemsOf({ license: 'MPL-2.0', dev: true })).toEqual([])
    expect(problemsOf({ integrity: 'sha1-abc=', dev: true })).toEqual([expect.stringContaining('has no SHA-512')])
  })
})
