/**
 * Writes what `deploy/` has of other files: the rules of `prometheus/rules` as an object of the Prometheus Operator, for kustomize and for
 * the Helm chart. `node scripts/write-deploy.ts`; a test fails when they drift apart.
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { parse, stringify } from 'yaml'
import manifest from '../package.json' with { type: 'json' }

const ROOT = new URL('../', import.meta.url)
const NOTE = '# Written by scripts/write-deploy.ts from prometheus/rules.\n'

/** Text of each file, by its path from the root. */
export function deployFiles(): ReadonlyMap<string, string> {
  const groups = globSync('prometheus/rules/*.yml', { cwd: ROOT })
    .sort()
    .flatMap(file => (parse(readFileSync(new URL(file, ROOT), 'utf8')) as { groups: unknown[] }).groups)
  const rule = {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: {
      name: 'holdfast',
      labels: {
        'app.kubernetes.io/name': 'holdfast',
        'app.kubernetes.io/instance': 'holdfast',
        'app.kubernetes.io/version': manifest.version,
      },
    },
    spec: { groups },
  }
  return new Map([
    ['deploy/kustomize/components/monitoring/prometheus-rule.yaml', NOTE + text(rule)],
    ['deploy/helm/holdfast/files/prometheus-rules.yaml', NOTE + text({ groups })],
  ])
}

/** Expressions stay on the lines that they have. */
function text(value: unknown): string {
  return stringify(value, { lineWidth: 0 })
}

if (import.meta.main) for (const [path, content] of deployFiles()) writeFileSync(new URL(path, ROOT), content)
