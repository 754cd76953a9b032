import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
export const CHART = 'deploy/helm/holdfast'
/** A helm that was built by Go alone takes the cluster for an old one. */
export const CLUSTER = ['--kube-version', '1.36.3'] as const
export const EXAMPLE = 'deploy/kustomize/overlays/example'

/** What both ways can make: components of kustomize, and the values of the chart that ask for the same. */
export const VARIANTS: readonly {
  readonly name: string
  readonly components: readonly string[]
  readonly values: readonly string[]
}[] = [
  { name: 'the base', components: [], values: [] },
  {
    name: 'monitoring, autoscaling and streams of your own',
    components: ['monitoring', 'autoscaling', 'streams'],
    values: set(
      'serviceMonitor.enabled=true',
      'prometheusRule.enabled=true',
      'autoscaling.enabled=true',
      'streams.files.holdfast\\.config\\.ts=export {}',
      'streams.migrations.0001_returns\\.sql=SELECT 1;',
    ),
  },
  {
    name: 'migrations as a Job',
    components: ['migrate-job'],
    values: set('migrations.mode=job', 'migrations.existingSecret=holdfast-migrate'),
  },
]

/** Further values, which only the chart has: `helm template` and `helm lint` take them. */
export const CHART_OPTIONS: readonly (readonly string[])[] = [
  ...VARIANTS.map(({ values }) => values),
  set(
    'migrations.mode=job',
    'roles={consumer,jobs}',
    'secrets.existingSecret=other',
    'secrets.files={DATABASE_URL,DATABASE_DIRECT_URL,API_KEYS}',
    'settings.PG_SCHEMA=books',
    'imagePullSecrets[0].name=registry',
    'streams.migrations.0001_returns\\.sql=SELECT 1;',
  ),
  set(
    'fullnameOverride=other',
    `image.digest=sha256:${'0123456789abcdef'.repeat(4)}`,
    'migrations.mode=none',
    'allowedHosts={holdfast.example.com}',
    'podAnnotations.a=b',
    'podLabels.a=b',
    'nodeSelector.a=b',
    'tolerations[0].operator=Exists',
    'priorityClassName=high',
    'extraEnv[0].name=OTEL_EXPORTER_OTLP_ENDPOINT',
    'extraEnv[0].value=http://collector:4318',
    'serviceAccount.create=false',
    'networkPolicy.enabled=false',
    'podDisruptionBudget.enabled=false',
  ),
]

/**
 * A kustomization of the base and these components, while `work` runs. Those of streams get two ConfigMaps with dummies.
 * @param work is given the folder
 */
export function withKustomization<R>(components: readonly string[], work: (folder: string) => R): R {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-kustomize-'))
  // kustomize takes no absolute paths.
  const kustomize = relative(folder, join(ROOT, 'deploy', 'kustomize'))
  const configMaps = [
    { name: 'holdfast-streams', literals: ['holdfast.config.ts=export {}'] },
    { name: 'holdfast-migrations', literals: ['0001_returns.sql=SELECT 1;'] },
  ]
  const kustomization = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: [join(kustomize, 'base')],
    components: components.map(name => join(kustomize, 'components', name)),
    ...(components.includes('streams') ? { configMapGenerator: configMaps } : {}),
    generatorOptions: { disableNameSuffixHash: true },
  }
  try {
    // JSON is YAML.
    writeFileSync(join(folder, 'kustomization.yaml'), JSON.stringify(kustomization))
    return work(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function set(...values: readonly string[]): string[] {
  return values.flatMap(value => ['--set', value])
}
