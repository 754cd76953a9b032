/**
 * `make bench`: how fast the service processes a topic, compared with how fast PostgreSQL alone writes the same rows.
 * What is measured and how to read it: bench/README.md.
 */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeConfig } from '#src/settings/describe.ts'
import { ask } from './database.ts'
import { isCorrect, latestOf, type ShapeResult } from './figures.ts'
import { describeMachine } from './machine.ts'
import { measureShape } from './measure-shape.ts'
import { readOptions } from './options.ts'
import { type Report, toTable } from './report.ts'
import { startServers } from './servers.ts'

/** The settings that determine throughput; shown with every result. */
const SHOWN_SETTINGS = [
  'BATCH_MAX_RECORDS',
  'BATCH_MAX_BYTES',
  'BATCH_LINGER_MS',
  'PG_POOL_MAX',
  'CACHE_MAX_BYTES',
  'KAFKA_CONFIG',
]

// Measured before the bench itself causes any load.
const loadBefore = loadavg()[0] ?? 0
const options = readOptions(process.argv.slice(2))
const measuredAt = new Date().toISOString()
const stamp = measuredAt.replaceAll(/[:.]/g, '-')
mkdirSync(options.results, { recursive: true })
const report = await measure()
writeFileSync(join(options.results, `drain-${stamp}.json`), `${JSON.stringify(report, null, 2)}\n`)
const latest = latestOf(report.results, options, { measuredAt, loadBefore })
writeFileSync(join(options.results, 'latest.json'), `${JSON.stringify(latest, null, 2)}\n`)
console.log(options.json ? JSON.stringify(report) : toTable(report))
process.exitCode = report.results.every(isCorrect) ? 0 : 1

async function measure(): Promise<Report> {
  const dataDir = options.keep ? mkdtempSync(join(tmpdir(), 'holdfast-bench-')) : undefined
  if (dataDir !== undefined) say(`the servers keep their data in ${dataDir}`)
  await using servers = await startServers({ dataDir, log: say })
  const [version] = await ask<{ server_version: string }>(servers.postgres.url, 'SHOW server_version')
  const machine = describeMachine(version?.server_version ?? 'unknown', loadBefore)
  const results: ShapeResult[] = []
  for (const shape of options.shapes) results.push(await measureShape({ options, servers, stamp, say }, shape))
  const settings = Object.fromEntries(
    describeConfig(process.env).flatMap(({ name, value }) =>
      SHOWN_SETTINGS.includes(name) && value !== '' ? [[name, value]] : [],
    ),
  )
  return { options, machine, settings, results }
}

/** Progress is for stderr: stdout is the result. */
function say(line: string): void {
  console.error(`bench: ${line}`)
}
