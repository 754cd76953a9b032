import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { consoleStates } from '../src/inbox/console-states.ts'

/** Writes the states for the console: `node scripts/write-states.ts`. A test fails when the file and the module drift apart. */
const path = new URL('../web/console/states.js', import.meta.url).pathname
const constants = Object.entries(consoleStates()).map(
  ([name, value]) => `export const ${name} = ${JSON.stringify(value)}`,
)
writeFileSync(path, ['/** Written by scripts/write-states.ts. */', '', ...constants, ''].join('\n'))
execFileSync('node_modules/.bin/biome', ['check', '--write', path])
