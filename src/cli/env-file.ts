import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import type { Environment } from '../config.ts'

/** What `.env` holds, where the shim has told Node to read it; else nothing. Node has put it into the environment already. */
export function envFile(): Environment {
  return process.execArgv.includes('--env-file=.env') ? parseEnv(readFileSync('.env', 'utf8')) : {}
}
