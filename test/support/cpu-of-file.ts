/**
 * Notes what each test file takes: `TEST_CPU=FILE vitest run …` appends a line for each, with its CPU time and that of the processes that it
 * started and that have ended, in seconds, and its wall-clock time. The former hardly depends on what else the machine does. Kafka and Postgres,
 * which the files share, are not in it. Linux alone tells of children.
 */
import { appendFileSync, readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { afterAll, expect } from 'vitest'

/** Of the clock in which the kernel counts: the same on every Linux. */
const TICKS_PER_SECOND = 100

const began = { cpu: cpuSeconds(), atMs: performance.now() }

// Set-up files run before the file's own hooks are known, so this one runs last.
afterAll(() => {
  const file = expect.getState().testPath ?? ''
  const own = cpuSeconds()
  const [cpu, children] = [own.self - began.cpu.self, own.children - began.cpu.children]
  const wall = (performance.now() - began.atMs) / 1000
  const figures = [cpu + children, cpu, children, wall].map(seconds => seconds.toFixed(1).padStart(7))
  appendFileSync(process.env.TEST_CPU ?? '/dev/null', `${figures.join(' ')}  ${relative(process.cwd(), file)}\n`)
})

function cpuSeconds(): { readonly self: number; readonly children: number } {
  const stat = readFileSync('/proc/self/stat', 'utf8')
  // The second field is the name of the program, which may hold anything.
  const ticks = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
  const [user = 0, system = 0, userOfChildren = 0, systemOfChildren = 0] = ticks.slice(11, 15)
  return {
    self: (user + system) / TICKS_PER_SECOND,
    children: (userOfChildren + systemOfChildren) / TICKS_PER_SECOND,
  }
}
