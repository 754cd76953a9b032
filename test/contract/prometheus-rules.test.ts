import { cpSync, existsSync, globSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { SETTINGS } from '#src/settings/settings.ts'
import { type EmbeddedPrometheus, startPrometheus } from '#tools/demo/servers/prometheus.ts'
import { promtool, queriesOfRunbooks, RULES_DIR, type Rule, rulesOf, withPrometheus } from '../support/prometheus.ts'

const ROOT = new URL('../../', import.meta.url)
const FOLDER = fileURLToPath(new URL('prometheus/', ROOT))
const tests = globSync('tests/*.yml', { cwd: FOLDER })
const textOf = (file: string) => readFileSync(new URL(`prometheus/${file}`, ROOT), 'utf8')

withPrometheus('prometheus/', () => {
  let prometheus: EmbeddedPrometheus
  let alerts: Rule[]
  beforeAll(async () => {
    prometheus = await startPrometheus({ targets: [], rulesDir: RULES_DIR })
    alerts = (await rulesOf(prometheus.url)).filter(({ type }) => type === 'alerting')
  })
  afterAll(() => prometheus[Symbol.asyncDispose]())

  it('has a configuration that Prometheus takes', async () => {
    expect(await promtool(['check', 'config', 'prometheus.yml'])).toMatchObject({ ok: true })
  })

  it('finds the service on this machine, and in the containers with the other list of targets', async () => {
    expect(textOf('targets.yml')).toContain(`["localhost:${SETTINGS.HTTP_PORT.default}"]`)
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-test-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    cpSync(FOLDER, folder, { recursive: true })
    renameSync(join(folder, 'targets.compose.yml'), join(folder, 'targets.yml'))
    expect(await promtool(['check', 'config', join(folder, 'prometheus.yml')])).toMatchObject({ ok: true })
    writeFileSync(join(folder, 'targets.yml'), '- [broken')
    expect(await promtool(['check', 'config', join(folder, 'prometheus.yml')])).toMatchObject({ ok: false })
  })

  it('has rules that promtool finds nothing against', async () => {
    const files = globSync(['rules/*.yml', 'optional/*.yml'], { cwd: FOLDER })
    expect(await promtool(['check', 'rules', '--lint=all', '--lint-fatal', ...files])).toMatchObject({ ok: true })
  })

  it('has alerts that fire on their scenario, and stay quiet on a healthy day', async () => {
    expect(tests.length).toBeGreaterThan(4)
    const { ok, said } = await promtool(['test', 'rules', ...tests])
    expect(said).not.toContain('FAILED')
    expect(ok).toBe(true)
  })

  it('shows of each alert that it fires, and that it does not always', () => {
    const fires = new Set<string>()
    for (const test of tests.map(textOf)) {
      for (const [, name = ''] of test.matchAll(/alertname: (\w+)\n +exp_alerts:\n +- exp_labels:/g)) fires.add(name)
    }
    expect([...fires].sort()).toEqual(alerts.map(({ name }) => name).sort())
    expect(textOf('tests/healthy.yml')).toContain(`expr: 'ALERTS{alertstate="firing"}', exp_samples: []`)
  })

  it('tells with each alert what is the matter, how urgent it is, and where to read on', () => {
    expect(alerts.length).toBeGreaterThan(10)
    for (const { name, labels, annotations } of alerts) {
      expect(labels.severity, name).toMatch(/^(critical|warning)$/)
      expect(annotations.summary?.length, name).toBeGreaterThan(10)
      expect(annotations.description?.length, name).toBeGreaterThan(20)
      expect(annotations.runbook_url).toBe(`docs/runbooks/${name}.md`)
      expect(existsSync(new URL(`docs/runbooks/${name}.md`, ROOT)), name).toBe(true)
    }
  })

  it('has runbooks whose questions Prometheus understands', async () => {
    const questions = queriesOfRunbooks()
    expect(questions.length).toBeGreaterThan(alerts.length)
    for (const { file, promql } of questions) {
      await expect(prometheus.query(promql), `${file}: ${promql}`).resolves.toEqual([])
    }
  })
})
