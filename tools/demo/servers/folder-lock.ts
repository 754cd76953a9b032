import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { processIdentity, processNamespace, SetupError } from './machine.ts'

interface Holder {
  readonly namespace: string
  readonly pid: number
  readonly identity: string
}

/**
 * Takes a folder of data for this process, until it is disposed of or the process is gone. A second Kafka on the same folder
 * would damage the metadata of the first before it found that one's own lock.
 * @throws SetupError when another process that runs has it
 */
export function lockFolder(dir: string): Disposable {
  const file = join(dir, 'in-use.json')
  const holder: Holder = {
    namespace: processNamespace(),
    pid: process.pid,
    identity: processIdentity(process.pid) ?? 'gone',
  }
  for (let triesLeft = 3; ; triesLeft--) {
    try {
      writeFileSync(file, JSON.stringify(holder), { flag: 'wx', mode: 0o644 })
      return { [Symbol.dispose]: () => rmSync(file, { force: true }) }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || triesLeft === 0) throw error
    }
    const other = readHolder(file)
    if (other !== undefined && processIdentity(other.pid) === other.identity) {
      throw new SetupError(`${dir} is in use by process ${other.pid}: stop that first, or name another folder.`)
    }
    // The process that held the lock was killed.
    rmSync(file, { force: true })
  }
}

/** @returns the holder, if it ran on this machine; one in another container cannot be checked, and is treated as ended. */
function readHolder(file: string): Holder | undefined {
  try {
    const holder = JSON.parse(readFileSync(file, 'utf8')) as Holder
    return holder.namespace === processNamespace() ? holder : undefined
  } catch {
    return undefined
  }
}
