import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmdirSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it, onTestFinished } from 'vitest'

/** A file system of its own, in memory, whose size can be changed while it is in use. Goes with the test. */
export interface SmallDisk {
  readonly dir: string
  /** Leaves so many bytes beyond what is used now. */
  leave(bytes: number): void
}

/** A scenario that mounts a disk. Where that is not allowed it is skipped, by a name that says so: it takes a right of root. */
export function itWithDisk(name: string, test: (disk: SmallDisk) => Promise<void>): void {
  const refused = whyNotMount()
  if (refused === undefined) it(name, () => test(aDisk()))
  else it.skip(`${name}: skipped, because a disk of its own needs the right to mount one (run as root): ${refused}`)
}

function aDisk(): SmallDisk {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-disk-'))
  mount(dir, MAX_BYTES)
  onTestFinished(() => unmount(dir))
  return {
    dir,
    leave(bytes) {
      const { bsize, blocks, bfree } = statfsSync(dir)
      execFileSync('mount', ['-o', `remount,size=${(blocks - bfree) * bsize + bytes}`, dir])
    },
  }
}

const MAX_BYTES = 1024 ** 3

function mount(dir: string, bytes: number): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0755`, 'tmpfs', dir], { stdio: 'pipe' })
}

function unmount(dir: string): void {
  // Lazily: a process that is just ending may still have a file open.
  execFileSync('umount', ['--lazy', dir])
  rmdirSync(dir)
}

/** @returns `undefined` when it is allowed */
function whyNotMount(): string | undefined {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-disk-'))
  try {
    mount(dir, 1024 ** 2)
    unmount(dir)
    return undefined
  } catch (error) {
    rmdirSync(dir)
    return error instanceof Error ? (error.message.split('\n')[1] ?? error.message) : String(error)
  }
}
