import { execFile } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, it } from 'vitest'
import { findProgram, missingPrometheus } from '#tools/demo/servers/prometheus-binaries.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
export const RULES_DIR = join(ROOT, 'prometheus', 'rules')

/**
 * Tests that need Prometheus or its promtool. Where they are not installed they are skipped, by a name that says so. `make setup`
 * brings them when it runs as root on Debian, so on a build server they always run.
 */
export function withPrometheus(name: string, tests: () => void): void {
  const missing = missingPrometheus()
  if (missing === undefined) describe(name, tests)
  else it.skip(`${name}: skipped, because ${missing}`, () => {})
}

/** Runs promtool in the folder `prometheus/`. @returns what it printed, and whether it was content */
export async function promtool(args: readonly string[], input?: string): Promise<{ ok: boolean; said: string }> {
  const child = promisify(execFile)(findProgram('promtool') ?? 'promtool', args, { cwd: join(ROOT, 'prometheus') })
  child.child.stdin?.end(input ?? '')
  return await child.then(
    ({ stdout, stderr }) => ({ ok: true, said: stdout + stderr }),
    (error: { stdout: string; stderr: string }) => ({ ok: false, said: error.stdout + error.stderr }),
  )
}

export interface Rule {
  readonly name: string
  readonly type: 'alerting' | 'recording'
  readonly query: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

/** The rules that a running Prometheus has loaded, as it has understood them. */
export async function rulesOf(prometheusUrl: string): Promise<Rule[]> {
  const response = await fetch(`${prometheusUrl}/api/v1/rules`)
  const { data } = (await response.json()) as { data: { groups: { rules: Partial<Rule>[] }[] } }
  return data.groups.flatMap(({ rules }) =>
    rules.map(({ name = '', type = 'recording', query = '', labels = {}, annotations = {} }) => {
      return { name, type, query, labels, annotations }
    }),
  )
}

interface Alert {
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

/** The alerts that fire at this moment. */
export async function firingAlerts(prometheusUrl: string): Promise<Alert[]> {
  const response = await fetch(`${prometheusUrl}/api/v1/alerts`)
  const { data } = (await response.json()) as { data: { alerts: (Alert & { readonly state: string })[] } }
  return data.alerts.filter(({ state }) => state === 'firing')
}

/** The PromQL of all runbooks, by file name. */
export function queriesOfRunbooks(): { readonly file: string; readonly promql: string }[] {
  return globSync('docs/runbooks/*.md', { cwd: ROOT }).flatMap(file => {
    const text = readFileSync(join(ROOT, file), 'utf8')
    return [...text.matchAll(/```promql\n(.*?)```/gs)].map(([, promql = '']) => ({ file, promql: promql.trim() }))
  })
}

/** Every `expr` of the dashboards that there are, by file name. */
export function queriesOfDashboards(): { readonly file: string; readonly promql: string }[] {
  return globSync('grafana/**/*.json', { cwd: ROOT }).flatMap(file => {
    const found: string[] = []
    JSON.parse(readFileSync(join(ROOT, file), 'utf8'), (key, value) => {
      if (key === 'expr' && typeof value === 'string') found.push(value)
      return value
    })
    return found.map(promql => ({ file, promql }))
  })
}
