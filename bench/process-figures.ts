/** Resource usage of processes, as Linux reports it in /proc. Other systems have no /proc, and the bench reports the figures as unknown. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'

/** USER_HZ: what the kernel counts in for user space is a hundredth of a second on every platform of Node. */
const TICKS_PER_SECOND = 100

interface Stat {
  readonly parent: number
  /** User and system time of the process itself, in seconds. */
  readonly own: number
  /** The same of its children that have ended and were waited for. */
  readonly ended: number
}

/** Whether this machine reports usage in /proc. */
export const figuresAvailable = existsSync('/proc/self/stat')

/**
 * CPU seconds (user and system) of a process and all that descend from it, living or ended. PostgreSQL is a process for
 * each connection, which starts and ends with it: the time of ended ones stays in their parent's `ended`.
 * @returns undefined when there is no such process, or no /proc
 */
export function cpuSecondsOfTree(root: number): number | undefined {
  const stats = treeOf(root)
  if (stats.size === 0) return undefined
  return [...stats.values()].reduce((seconds, stat) => seconds + stat.own + stat.ended, 0)
}

/**
 * The most memory that each living process of a tree ever held, added up, in bytes: of a single one its peak, of several at least
 * theirs together. @returns undefined when there is no such process, or no /proc
 */
export function peakMemoryOfTree(root: number): number | undefined {
  const peaks = [...treeOf(root).keys()].flatMap(pid => peakMemoryBytes(pid) ?? [])
  return peaks.length === 0 ? undefined : peaks.reduce((sum, bytes) => sum + bytes, 0)
}

/** The most memory that the process ever held, in bytes. @returns undefined when there is no such process, or no /proc */
export function peakMemoryBytes(pid: number): number | undefined {
  const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1]
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024
}

/**
 * Reads a line of /proc/PID/stat. The name in brackets may hold spaces and brackets itself, so fields are counted from the last one:
 * field 3 (state) comes next, then 4 the parent, 14 and 15 own user and system time, 16 and 17 those of ended children
 * (proc(5)).
 */
export function parseStat(line: string): Stat {
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ')
  const field = (number: number) => Number(fields[number - 3])
  return {
    parent: field(4),
    own: (field(14) + field(15)) / TICKS_PER_SECOND,
    ended: (field(16) + field(17)) / TICKS_PER_SECOND,
  }
}

/** A living process and all that descend from it, by their ids; empty when there is no such process. */
function treeOf(root: number): ReadonlyMap<number, Stat> {
  const stats = new Map<number, Stat>()
  for (const pid of figuresAvailable ? processIds() : []) {
    const stat = readStat(pid)
    if (stat !== undefined) stats.set(pid, stat)
  }
  if (!stats.has(root)) return new Map()
  return new Map([...stats].filter(([pid]) => descends(pid, root, stats)))
}

function descends(pid: number, root: number, stats: ReadonlyMap<number, Stat>): boolean {
  for (let at: number | undefined = pid; at !== undefined && at !== 0; at = stats.get(at)?.parent) {
    if (at === root) return true
  }
  return false
}

function processIds(): number[] {
  return readdirSync('/proc').flatMap(name => (/^\d+$/.test(name) ? [Number(name)] : []))
}

function readStat(pid: number): Stat | undefined {
  const line = read(`/proc/${pid}/stat`)
  return line === undefined ? undefined : parseStat(line)
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined // gone since it was listed
  }
}
