/** Notes on running servers, one file each, by which a later start finds and ends what was left behind. */
import { lstatSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { cacheDir, processIdentity, processNamespace } from './machine.ts'
import { keptFolder, writePrivate } from './private-files.ts'

/** One running server. Identities are those of {@link processIdentity}: never kill a pid on its number alone. */
interface Run {
  readonly namespace: string
  readonly pid: number
  readonly identity: string
  readonly ownerPid: number
  readonly ownerIdentity: string
  readonly command: string
  readonly stopSignal: NodeJS.Signals
  readonly graceMs: number
  readonly temporaryDir?: string | undefined
}

const runsDir = (): string => join(cacheDir(), 'runs')

/** Notes a process that is ours. @returns the file, for {@link forgetRun}. */
export function noteRun(
  run: Pick<Run, 'pid' | 'command' | 'stopSignal' | 'graceMs' | 'temporaryDir'>,
  owner: number = process.pid,
): string {
  const { pid, command, stopSignal, graceMs, temporaryDir } = run
  const note: Run = {
    namespace: processNamespace(),
    pid,
    identity: processIdentity(pid) ?? 'gone',
    ownerPid: owner,
    ownerIdentity: processIdentity(owner) ?? 'gone',
    command,
    stopSignal,
    graceMs,
    temporaryDir,
  }
  keptFolder(runsDir())
  const file = join(runsDir(), `${pid}-${owner}.json`)
  // Written aside and renamed: another start may be reading the folder at this moment.
  writePrivate(`${file}.new`, JSON.stringify(note))
  renameSync(`${file}.new`, file)
  return file
}

export function forgetRun(file: string): void {
  rmSync(file, { force: true })
}

/**
 * Ends the servers whose owner is gone, and removes their temporary folders. Servers whose owner still runs are left
 * alone, and so is a pid that another process has been given since.
 * @returns how many were found.
 */
export async function cleanLeftovers(log: (line: string) => void = () => {}): Promise<number> {
  const found = await Promise.all(noteFiles().map(file => cleanOne(file, log)))
  return found.filter(Boolean).length
}

function noteFiles(): string[] {
  try {
    return readdirSync(runsDir())
      .filter(name => name.endsWith('.json'))
      .map(name => join(runsDir(), name))
  } catch {
    return [] // nothing has ever run here
  }
}

async function cleanOne(file: string, log: (line: string) => void): Promise<boolean> {
  const run = readNote(file)
  if (!run || run.namespace !== processNamespace()) return false
  if (processIdentity(run.ownerPid) === run.ownerIdentity) return false
  const alive = (): boolean => processIdentity(run.pid) === run.identity
  if (alive()) log(`stopping a server left by an earlier run: ${run.command} (pid ${run.pid})`)
  if (alive()) signal(run.pid, run.stopSignal)
  // Its watcher may be stopping it too; each sends one stop signal first, and killing twice is harmless.
  for (let waited = 0; alive() && waited < run.graceMs; waited += 50) await sleep(50)
  if (alive()) signal(run.pid, 'SIGKILL')
  for (let waited = 0; alive() && waited < 5_000; waited += 50) await sleep(50)
  if (run.temporaryDir) rmSync(run.temporaryDir, { recursive: true, force: true, maxRetries: 3 })
  forgetRun(file)
  return true
}

function readNote(file: string): Run | undefined {
  try {
    const { uid } = lstatSync(file)
    // A note says what to kill and what to remove: another user's is not followed.
    if (process.getuid !== undefined && uid !== process.getuid()) return undefined
    return JSON.parse(readFileSync(file, 'utf8')) as Run
  } catch {
    return undefined // removed meanwhile, or owned by another user
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // it has ended in between, which was the aim
  }
}
