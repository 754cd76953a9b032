import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { ConfigError } from '../engine/errors.ts'
import type { Environment } from '../settings/origins.ts'

/** What `.env` holds where the shim made Node read it, else nothing. Node has put it into the environment already. */
export function envFile(): Environment {
  return isRead() ? parseEnv(withoutMark(readFileSync('.env', 'utf8'))) : {}
}

/** @throws ConfigError when `.env` was read, and none of its settings could be: Node does not report that */
export function checkEnvFile(): void {
  if (isRead()) checkEncoding(readFileSync('.env'))
}

/** @throws ConfigError when the text is UTF-16, as some editors and shells on Windows write it */
export function checkEncoding(bytes: Buffer): void {
  const mark = bytes.subarray(0, 2).toString('hex')
  const isUtf16 = mark === 'fffe' || mark === 'feff' || bytes.includes(0)
  if (!isUtf16) return
  throw new ConfigError([
    '.env is not UTF-8 text (some editors and shells on Windows write UTF-16), so that none of its settings is read: save it as UTF-8',
  ])
}

function isRead(): boolean {
  return process.execArgv.includes('--env-file=.env')
}

/** The byte-order mark would become a part of the first name. */
function withoutMark(text: string): string {
  return text.replace(/^\uFEFF/, '')
}
