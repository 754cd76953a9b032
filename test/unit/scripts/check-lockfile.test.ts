import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import manifest from '../../../package.json' with { type: 'json' }
import lockfile from '../../../package-lock.json' with { type: 'json' }
import { type Locked, lockfileProblems, scriptProblems } from '../../../scripts/check-lockfile.ts'

const sound: Locked = { version: '1.0.0', integrity: 'sha512-abc=', license: 'MIT' }
const problemsOf = (changed: Partial<Locked>) =>
  lockfileProblems({ '': {}, 'node_modules/a': { ...sound, ...changed } })

describe('package-lock.json', () => {
  it('pins every package, and has licences that a program under MIT may be shipped with', () => {
    expect(lockfileProblems(lockfile.packages as Record<string, Locked>)).toEqual([])
    expect(Object.keys(lockfile.packages).length).toBeGreaterThan(100)
  })
})

describe('a script that a package brings for its installation', () => {
  it('is allowed or denied in package.json', () => {
    expect(scriptProblems(lockfile.packages as Record<string, Locked>, manifest.allowScripts)).toEqual([])
    const packages = { '': sound, 'node_modules/a/node_modules/@b/c': { ...sound, hasInstallScript: true } }
    expect(scriptProblems(packages, { a: true })).toEqual([expect.stringMatching(/^@b\/c runs a script/)])
    expect(scriptProblems(packages, { '@b/c': false })).toEqual([])
  })

  it('reports no installation of Holdfast: neither here nor in a project that has it', async () => {
    expect(manifest.allowScripts['@scarf/scarf']).toBe(false)
    const { processDependencyTreeOutput } = createRequire(import.meta.url)('@scarf/scarf/report.js')
    const reported = async (holdfast: object) => {
      const swagger = { version: '5.0.0', dependencies: { '@scarf/scarf': { version: '1.4.0' } } }
      const tree = {
        ...{ name: 'shop', version: '1.0.0', path: '/shop' },
        dependencies: { holdfast: { ...holdfast, dependencies: { 'swagger-ui-dist': swagger } } },
      }
      // What it asks npm for; it resolves where it would report.
      return await new Promise((resolve, reject) =>
        processDependencyTreeOutput(resolve, reject)(null, JSON.stringify(tree), ''),
      )
    }
    const { scarfSettings, ...others } = manifest
    await expect(reported(others)).resolves.toMatchObject({ parent: { name: 'swagger-ui-dist' } })
    await expect(reported({ ...others, scarfSettings })).rejects.toThrow(/disabled via a package.json/)
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
