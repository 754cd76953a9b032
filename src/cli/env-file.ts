import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import type { Environment } from '../config.ts'

/** What `.env` holds, where the shim has told Node to read it; else nothing. Node has put it into the environment already. */
export function envFile(): Environment {
  return process.execArgv.includes('--env-file=.env') ? parseEnv(withoutMark(readFileSync('.env', 'utf8'))) : {}
}

/** As the environment is tidied: the byte-order mark would be a part of the first name. */
function withoutMark(text: string): string {
  return text.replace(/^\uFEFF/, '')
}
