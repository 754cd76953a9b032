/**
 * Files and folders that only this user may read, made so that nothing which another user put there before is followed. All
 * that the embedded servers and the demo write goes through here, because it may lie in a folder that others write to (`/tmp`).
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SetupError } from './machine.ts'

/** A new folder with an unpredictable name and mode 0700, below the system's folder for temporary files. */
export function temporaryFolder(name: string): string {
  return mkdtempSync(join(tmpdir(), `holdfast-${name}-`))
}

/**
 * Makes a folder that keeps data, with mode 0700, where it is missing.
 * @param owners user ids that may own it besides us and root
 * @throws SetupError when it belongs to another user, or when everybody may write to it: who can replace its files decides what
 *   we read, write and remove
 */
export function keptFolder(path: string, owners: readonly number[] = []): void {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  const { uid, mode } = statSync(path)
  const trusted = [process.getuid?.() ?? uid, 0, ...owners]
  if (!trusted.includes(uid)) {
    throw new SetupError(`${path} belongs to another user (uid ${uid}). Name a folder of your own.`)
  }
  if (mode & 0o002) {
    throw new SetupError(
      `Everybody may write to ${path}. Name another folder, or take that right away: chmod o-w ${path}`,
    )
  }
}

/**
 * Opens a log file for appending, with mode 0600.
 * @returns the descriptor, which is the caller's to close
 * @throws SetupError when it is a link, has a second name, or is no file
 */
export function openLog(path: string): number {
  const { O_APPEND, O_CREAT, O_NOFOLLOW = 0, O_NONBLOCK = 0, O_WRONLY } = constants
  let fd: number
  try {
    // O_NONBLOCK: opening a pipe that was put there must not block.
    fd = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600)
  } catch (error) {
    if (!['ELOOP', 'EMLINK', 'ENXIO'].includes(codeOf(error))) throw error
    throw notOurs(path, error)
  }
  const { nlink } = fstatSync(fd)
  if (!fstatSync(fd).isFile() || nlink !== 1) {
    closeSync(fd)
    throw notOurs(path)
  }
  // It may be of an earlier version, which left it readable.
  fchmodSync(fd, 0o600)
  return fd
}

/** Creates a file with mode 0600. An existing entry of that name, such as a link, is removed and not followed. */
export function writePrivate(path: string, text: string): void {
  rmSync(path, { force: true })
  writeFileSync(path, text, { flag: 'wx', mode: 0o600 })
}

function notOurs(path: string, cause?: unknown): SetupError {
  return new SetupError(`${path} is a link, or no plain file, so that it is not written to. Remove it.`, { cause })
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? ''
}
