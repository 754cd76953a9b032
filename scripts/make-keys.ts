/**
 * Makes the API keys of docker-compose.yml, once: a volume keeps them between starts. Usage: make-keys.ts FOLDER. It writes
 * `admin`, `write` and `read`, each with one key, and `api-keys` with the value of API_KEYS (their hashes). The keys are
 * never printed, because the output of a container is a log.
 */
import { createHash, randomBytes } from 'node:crypto'
import { chownSync, existsSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** The user `node` of the image, as which the service runs. */
const OWNER = 1000
const ROLES = ['admin', 'write', 'read'] as const

function makeKeys(folder: string): void {
  const list = join(folder, 'api-keys')
  if (existsSync(list)) return
  const entries = ROLES.map(role => {
    const key = randomBytes(32).toString('base64url')
    writePrivate(join(folder, role), `${key}\n`)
    return `compose-${role}:${role}:${createHash('sha256').update(key).digest('hex')}`
  })
  // Written last and atomically: when this file exists, all others do too.
  writePrivate(`${list}.new`, entries.join(','))
  renameSync(`${list}.new`, list)
}

function writePrivate(path: string, text: string): void {
  writeFileSync(path, text, { mode: 0o600 })
  if (process.getuid?.() === 0) chownSync(path, OWNER, OWNER)
}

const [folder] = process.argv.slice(2)
if (folder === undefined) throw new Error('usage: make-keys.ts FOLDER')
makeKeys(folder)
console.log(`keys are in ${folder}; for the console: docker compose exec holdfast cat ${join(folder, 'admin')}`)
