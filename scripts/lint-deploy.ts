/**
 * Holds the workflows, the objects of Kubernetes and the chart to what their own programs say: actionlint, kubeconform and helm lint.
 * `make lint` runs it with the programs that are there, and says which are not; with --install, as `make test-all` has it, they are built first.
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { findSchemas, findTool, installTools, TOOLS, type Tool } from './deploy-tools.ts'
import { CHART, CHART_OPTIONS, CLUSTER, EXAMPLE, VARIANTS, withKustomization } from './deploy-variants.ts'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const say = (line: string): void => console.error(`deploy: ${line}`)

function run(program: string, args: readonly string[], input?: string): string | undefined {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd: ROOT,
    encoding: 'utf8',
    ...(input === undefined ? {} : { input }),
  })
  if (status === 0) return stdout
  console.error(`${program} ${args.join(' ')}\n${stdout ?? ''}${stderr ?? error?.message ?? ''}`)
  process.exitCode = 1
  return undefined
}

function lint(): void {
  const { actionlint, helm, kubeconform, kustomize } = Object.fromEntries(
    Object.keys(TOOLS).map(name => [name, findTool(name as Tool)]),
  ) as Record<Tool, string | undefined>
  const schemas = findSchemas()
  if (actionlint) run(actionlint, [])
  if (helm)
    for (const options of CHART_OPTIONS) run(helm, ['lint', '--strict', '--quiet', CHART, ...CLUSTER, ...options])
  if (kubeconform && schemas) {
    const rendered = [
      ...(kustomize
        ? [
            run(kustomize, ['build', EXAMPLE]),
            ...VARIANTS.map(({ components }) =>
              withKustomization(components, folder => run(kustomize, ['build', folder])),
            ),
          ]
        : []),
      ...(helm ? CHART_OPTIONS.map(options => run(helm, ['template', 'holdfast', CHART, ...CLUSTER, ...options])) : []),
    ]
    const objects = rendered.filter(text => text !== undefined).join('\n---\n')
    const location = `${schemas}/{{.ResourceKind}}{{.KindSuffix}}.json`
    if (objects !== '') {
      const summary = run(kubeconform, ['-strict', '-summary', '-schema-location', location, '-'], objects)
      if (summary !== undefined) say(`kubeconform: ${summary.trim()}`)
    }
  }
  const missing = Object.entries({ actionlint, helm, kubeconform, kustomize, "kubeconform's schemas": schemas })
    .filter(([, found]) => found === undefined)
    .map(([name]) => name)
  if (missing.length > 0)
    say(`not checked for want of ${missing.join(', ')}; node scripts/lint-deploy.ts --install builds them with Go`)
}

if (process.argv.includes('--install')) for (const failure of installTools(say)) say(failure)
lint()
