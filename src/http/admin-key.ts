import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where the admin key of this run lies; disposing of it removes the file. */
export interface AdminKeyFile extends Disposable {
  readonly path: string
}

/**
 * Writes the key into a file that only this user can read. The folder is new, with a name that cannot be foreseen and
 * the mode 0700: a link that was planted beforehand leads nowhere.
 * @throws what the file system throws, as where nothing may be written
 */
export function writeAdminKey(key: string): AdminKeyFile {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-admin-key-'))
  const path = join(dir, 'key')
  writeFileSync(path, `${key}\n`, { mode: 0o600, flag: 'wx' })
  return { path, [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }) }
}
