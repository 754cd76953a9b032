/** Writes the commands into docs/cli.md: node scripts/write-cli.ts */
import { readFileSync, writeFileSync } from 'node:fs'
import { cliPage } from './cli-page.ts'

const page = new URL('../docs/cli.md', import.meta.url)
const text = readFileSync(page, 'utf8')
const between = /(<!-- commands:begin.*?-->\n).*?(<!-- commands:end -->)/s
if (!between.test(text)) throw new Error('docs/cli.md has lost the marks of its commands')
// A function, because the commands hold `$` of their own.
writeFileSync(
  page,
  text.replace(between, (_, begin: string, end: string) => `${begin}${cliPage()}\n${end}`),
)
