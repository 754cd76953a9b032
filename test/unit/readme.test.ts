import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { COMMANDS } from '#src/cli/commands.ts'
import { settingsTable } from '#src/settings/config.ts'

const ROOT = new URL('../../', import.meta.url)
const README = readFileSync(new URL('README.md', ROOT), 'utf8')

it('documents every setting as it is', () => {
  const [, table] = /<!-- settings:begin.*?-->\n(.*?)\n<!-- settings:end -->/s.exec(README) ?? []
  expect(table).toBe(settingsTable().trim())
})

it('names only commands that there are', () => {
  const named = [...README.matchAll(/bin\/holdfast ([a-z]+)/g)].map(([, name = '']) => name)
  expect(named.length).toBeGreaterThan(5)
  for (const name of named) expect(COMMANDS.map(command => command.name)).toContain(name)
})

it('links only to files that there are', () => {
  const links = [...README.matchAll(/\]\(([^)#]+)\)/g)]
    .map(([, link = '']) => link)
    .filter(link => !link.includes('://'))
  expect(links.length).toBeGreaterThan(3)
  for (const link of links) expect(existsSync(fileURLToPath(new URL(link, ROOT))), link).toBe(true)
})
