import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { PAUSE_REASONS } from '#src/engine/facts.ts'
import { settingsTables } from '#src/settings/describe.ts'
import { cliPage } from '../../scripts/cli-page.ts'
import { anchorsOf, codeSpansOf, document, documents, linksOf, ROOT, targetOf } from '../support/documents.ts'

describe('what is written by a script is current', () => {
  it.each([
    ['docs/settings.md', 'settings', settingsTables, 'node scripts/write-settings.ts'],
    ['docs/cli.md', 'commands', cliPage, 'node scripts/write-cli.ts'],
  ])('%s', (path, mark, write, command) => {
    const [, written] =
      new RegExp(`<!-- ${mark}:begin.*?-->\n(.*?)\n<!-- ${mark}:end -->`, 's').exec(document(path).text) ?? []
    expect(written, `to write it again: ${command}`).toBe(write())
  })
})

describe('documents', () => {
  const pages = documents()

  it('link only to files and headings that there are', () => {
    const links = pages.flatMap(page => linksOf(page).map(link => ({ page, link, target: targetOf(page, link) })))
    expect(links.length).toBeGreaterThan(200)
    const broken = links.filter(({ target }) => {
      if (target === undefined) return false
      if (!existsSync(join(ROOT, target.path))) return true
      return target.anchor !== '' && !anchorsOf(document(target.path)).has(target.anchor)
    })
    expect(broken.map(({ page, link }) => `${page.path}: ${link}`)).toEqual([])
  })

  it('are each found by a link of another one', () => {
    const linked = new Set(
      pages.flatMap(page =>
        linksOf(page)
          .flatMap(link => targetOf(page, link)?.path ?? [])
          .filter(path => path !== page.path),
      ),
    )
    expect(pages.map(({ path }) => path).filter(path => path.startsWith('docs/') && !linked.has(path))).toEqual([])
  })

  it('are in the map of the README', () => {
    const readme = document('README.md')
    const map = new Set(linksOf(readme).map(link => targetOf(readme, link)?.path))
    expect(pages.map(({ path }) => path).filter(path => /^docs\/[^/]+\.md$/.test(path) && !map.has(path))).toEqual([])
  })

  it('name only files that there are', () => {
    const named = pages.flatMap(page => codeSpansOf(page).map(text => ({ path: page.path, text })))
    const files = named.filter(({ text }) =>
      /^(?:src|test|tools|scripts|bench|web|docs|deploy|migrations|schemas)\/[\w./-]+$/.test(text),
    )
    expect(files.length).toBeGreaterThan(200)
    // What a run leaves, a file to be, or a folder of a user's project.
    const notOurs = /^(?:bench\/results|migrations\/|test\/browser\/screenshots)/
    const missing = files.filter(({ text }) => !notOurs.test(text) && !existsSync(join(ROOT, text)))
    expect(missing).toEqual([])
  })

  it('explain each reason for which a partition is paused', () => {
    const rows = [...document('docs/operations.md').text.matchAll(/^\| `(\w+)` \| .* \| \[Holdfast/gm)].map(
      ([, reason]) => reason,
    )
    expect(rows).toEqual(expect.arrayContaining([...PAUSE_REASONS]))
    expect(rows.length).toBe(PAUSE_REASONS.length)
  })
})
