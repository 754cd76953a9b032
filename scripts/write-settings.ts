/** Writes the table of settings into README.md: node scripts/write-settings.ts */
import { readFileSync, writeFileSync } from 'node:fs'
import { settingsTable } from '../src/settings/config.ts'

const readme = new URL('../README.md', import.meta.url)
const text = readFileSync(readme, 'utf8')
const between = /(<!-- settings:begin.*?-->\n).*?(<!-- settings:end -->)/s
if (!between.test(text)) throw new Error('README.md has lost the marks of the settings table')
// A function, because the table holds `$` of its own.
writeFileSync(
  readme,
  text.replace(between, (_, begin: string, end: string) => `${begin}${settingsTable().trim()}\n${end}`),
)
