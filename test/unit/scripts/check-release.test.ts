import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import manifest from '../../../package.json' with { type: 'json' }
import { notesOf, releaseProblems } from '../../../scripts/check-release.ts'

const changelog = readFileSync(new URL('../../../CHANGELOG.md', import.meta.url), 'utf8')
const sound = {
  tag: 'v1.2.0',
  repository: 'acme/holdfast',
  manifest: { version: '1.2.0', repository: { url: 'git+https://github.com/acme/holdfast.git' } },
  changelog:
    '# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2026-12-01\n\nText.\n\n### Added\n\n- A.\n\n## [1.1.0] - 2026-11-01\n\n- B.\n',
}

describe('a release', () => {
  it('is consistent', () => {
    expect(releaseProblems(sound)).toEqual([])
  })

  it('has everything that is wrong with it named at once', () => {
    expect(releaseProblems({ ...sound, tag: 'v1.3.0', repository: 'acme/other' })).toEqual([
      expect.stringContaining('the tag is v1.3.0'),
      expect.stringContaining('"## [1.3.0] - DATE"'),
      expect.stringContaining('should name acme/other'),
    ])
  })

  it('has the notes of its own section of the changelog', () => {
    expect(notesOf('v1.2.0', sound.changelog)).toBe('Text.\n\n### Added\n\n- A.')
    expect(notesOf('v1.1.0', sound.changelog)).toBe('- B.')
  })
})

describe('CHANGELOG.md', () => {
  it('has a section of this version, and above it room for what comes', () => {
    expect(notesOf(`v${manifest.version}`, changelog)).toMatch(/^### Upgrading$/m)
    expect(changelog).toMatch(/^## \[Unreleased\]$/m)
  })

  it('links every version at its end', () => {
    const versions = [...changelog.matchAll(/^## \[([^\]]+)\]/gm)].map(([, version]) => version)
    const links = [...changelog.matchAll(/^\[([^\]]+)\]: \S+$/gm)].map(([, version]) => version)
    expect(links).toEqual(versions)
  })

  it('has only the headings of Keep a Changelog, and what to do for an upgrade', () => {
    const headings = [...changelog.matchAll(/^### (.*)$/gm)].map(([, heading]) => heading)
    for (const heading of headings) {
      expect(['Upgrading', 'Added', 'Changed', 'Deprecated', 'Removed', 'Fixed', 'Security']).toContain(heading)
    }
  })
})
