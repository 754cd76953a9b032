import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import type { Report } from '../../bench/report.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const ORDERS = 600

it('times, checks and ends a rival that takes turns with the service', async () => {
  const mark = randomUUID()
  const results = mkdtempSync(join(tmpdir(), 'holdfast-bench-results-'))
  onTestFinished(() => rmSync(results, { recursive: true }))
  const naive = `node bench/rivals/naive.ts ${mark}`
  // The shell has children: their CPU and memory count, and they must not outlive the turn.
  const inShell = `echo from a shell; ${naive}; echo ended`
  // Commits no offsets that anybody looks at: its rows decide.
  const asOtherGroup = `KAFKA_GROUP_ID=elsewhere-${mark} ${naive}; true`
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      ...[
        'bench/drain.ts',
        '--json',
        '--orders',
        String(ORDERS),
        '--partitions',
        '2',
        '--updates',
        '20%',
        '--results',
        results,
      ],
      ...['--beside', `right=${inShell}`, '--beside', `uncommitted=${asOtherGroup}`],
    ],
    { cwd: ROOT, maxBuffer: 64 * 1024 * 1024 },
  )
  const report = JSON.parse(stdout) as Report
  const measurements = report.results.flatMap(result => result.measurements)
  const names = ['upsert limit', 'copy limit', 'drain', 'right', 'uncommitted']
  expect(measurements.map(({ contender }) => contender)).toEqual(names)
  expect(measurements.map(({ contender, failures }) => [contender, failures])).toEqual(names.map(name => [name, []]))
  for (const rival of measurements.filter(measurement => measurement.rival)) {
    expect(rival).toMatchObject({ orders: ORDERS, seconds: expect.any(Number) })
    expect(rival.seconds).toBeGreaterThan(0)
    expect(rival.secondsFromStart).toBeGreaterThan(rival.seconds)
    expect(rival.cpuFromStart).toBeGreaterThan(0.1)
    expect(rival.peakMemoryBytes).toBeGreaterThan(50e6)
  }
  expect(JSON.parse(readFileSync(join(results, 'latest.json'), 'utf8'))).toMatchObject({
    orders: ORDERS,
    correct: true,
  })
  expect(commandLines().filter(line => line.includes(mark))).toEqual([])
})

function commandLines(): string[] {
  return readdirSync('/proc').flatMap(pid => {
    if (!/^\d+$/.test(pid)) return []
    try {
      return [readFileSync(`/proc/${pid}/cmdline`, 'utf8')]
    } catch {
      return [] // ended since it was listed
    }
  })
}
