/** Writes the tables of settings into docs/settings.md: node scripts/write-settings.ts */
import { readFileSync, writeFileSync } from 'node:fs'
import { settingsTables } from '../src/settings/describe.ts'

const page = new URL('../docs/settings.md', import.meta.url)
const text = readFileSync(page, 'utf8')
const between = /(<!-- settings:begin.*?-->\n).*?(<!-- settings:end -->)/s
if (!between.test(text)) throw new Error('docs/settings.md has lost the marks of its tables')
// A function, because the table holds `$` of its own.
writeFileSync(
  page,
  text.replace(between, (_, begin: string, end: string) => `${begin}${settingsTables()}\n${end}`),
)
