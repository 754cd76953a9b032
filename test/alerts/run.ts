/**
 * `make alerts`: every alert on a live Prometheus. Two replicas work under load, the condition of each alert is brought about for
 * real and ended again, and the alert has to fire, and to be over, by itself. The rules are those of `prometheus/rules`, with all
 * their times thirty times shorter. Exit code 1 names what did not.
 *
 *   node test/alerts/run.ts [--only HoldfastPoolWaits,…]
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startPrometheus } from '#tools/demo/servers/prometheus.ts'
import { firingAlerts, RULES_DIR } from '../support/prometheus.ts'
import { eventually } from '../support/service.ts'
import { hastenFolder } from './hasten.ts'
import { type Expected, scenes } from './scenes.ts'
import { startStage } from './stage.ts'

const FACTOR = 30
/** What Prometheus does each 15 s by `prometheus/prometheus.yml`. */
const INTERVAL_MS = 15_000 / FACTOR
/** The longest that a rule looks back while all is well (ten minutes) comes first: nothing may fire in it. */
const GOOD_DAY_MS = 600_000 / FACTOR
/** Longer than the longest wait of a rule (an hour) at this speed. */
const PATIENCE_MS = 150_000

const say = (line: string) => void process.stdout.write(`${line}\n`)
const { only } = parseArgs({ options: { only: { type: 'string' } } }).values
const names = only?.split(',')
const failures: string[] = []
const rulesDir = hastenFolder(RULES_DIR, mkdtempSync(join(tmpdir(), 'holdfast-rules-')), FACTOR)

try {
  await run()
} finally {
  rmSync(rulesDir, { recursive: true })
}
for (const failure of failures) process.stderr.write(`${failure}\n`)
process.exitCode = failures.length === 0 ? 0 : 1

async function run(): Promise<void> {
  await using stage = await startStage(say)
  const targets = stage.replicas.map(({ target }) => ({ url: target }))
  await using prometheus = await startPrometheus({ targets, rulesDir, intervalMs: INTERVAL_MS })
  await prometheus.scraped(3)
  say(`Prometheus: ${prometheus.url}; logs of the service: ${stage.logDir}`)

  await sleep(GOOD_DAY_MS)
  await noneFires('on a good day')

  const late: { readonly name: string; readonly endedAt: number }[] = []
  for (const { what, alerts, begin } of scenes) {
    if (names !== undefined && !alerts.some(({ name }) => names.includes(name))) continue
    say(`\n${what}`)
    const began = performance.now()
    const end = await begin(stage)
    for (const alert of alerts) await fires(alert, began)
    const endedAt = performance.now()
    await end()
    for (const { name, looksFarBack = false } of alerts) {
      if (looksFarBack) late.push({ name, endedAt })
      else await isOver(name, endedAt)
    }
  }
  say('')
  for (const { name, endedAt } of late) await isOver(name, endedAt)
  await noneFires('at the end')

  async function fires({ name, labels = {} }: Expected, began: number): Promise<void> {
    const isIt = (alert: { readonly labels: Readonly<Record<string, string>> }) =>
      Object.entries({ alertname: name, ...labels }).every(([label, value]) => alert.labels[label] === value)
    const find = async () => (await firingAlerts(prometheus.url)).find(isIt)
    const found = await eventually(find, name, PATIENCE_MS, 200).catch(() => undefined)
    say(`${since(began)} ${name} ${found === undefined ? 'DOES NOT FIRE' : `fires: ${found.annotations.summary}`}`)
    if (found === undefined) failures.push(`${name} does not fire`)
  }

  async function isOver(name: string, endedAt: number): Promise<void> {
    const isGone = async () => !(await firingAlerts(prometheus.url)).some(({ labels }) => labels.alertname === name)
    const gone = await eventually(isGone, name, PATIENCE_MS, 200).catch(() => false)
    say(`${since(endedAt)} ${name} ${gone ? 'is over' : 'IS NOT OVER'}`)
    if (!gone) failures.push(`${name} is not over when its cause is`)
  }

  async function noneFires(when: string): Promise<void> {
    const firing = (await firingAlerts(prometheus.url)).map(({ labels }) => labels.alertname)
    say(`${when}: ${firing.join(', ') || 'none fires'}`)
    if (firing.length > 0) failures.push(`${when} there fire: ${firing.join(', ')}`)
  }
}

function since(start: number): string {
  return `${((performance.now() - start) / 1000).toFixed(1)} s`.padStart(9)
}
