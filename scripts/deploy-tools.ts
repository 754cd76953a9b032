/**
 * Programs that check `deploy/` and the workflows, where they can be had: those of the user's cache, else those on the PATH. With Go they
 * can be built into the cache (`node scripts/lint-deploy.ts --install`), each of one version, which Go holds to its checksum database.
 */
import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import {
  accessSync,
  constants,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { parse } from 'yaml'
import { type Definition, schemasOfCrd, schemasOfSwagger } from './kube-schemas.ts'
import { cacheDir } from './native-machine.ts'

export const TOOLS = {
  actionlint: 'github.com/rhysd/actionlint/cmd/actionlint@v1.7.12',
  helm: 'helm.sh/helm/v3/cmd/helm@v3.22.0',
  kubeconform: 'github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0',
  kustomize: 'sigs.k8s.io/kustomize/kustomize/v5@v5.8.1',
} as const
export type Tool = keyof typeof TOOLS

/** Modules that hold the definitions of objects, and where. */
const SCHEMAS = [
  { module: 'k8s.io/kubernetes@v1.36.3', files: 'api/openapi-spec/swagger.json' },
  { module: 'github.com/kedacore/keda/v2@v2.21.0', files: 'config/crd/bases/keda.sh_*.yaml' },
  {
    module: 'github.com/prometheus-operator/prometheus-operator@v0.85.0',
    files: 'example/prometheus-operator-crd/monitoring.coreos.com_{prometheusrules,servicemonitors}.yaml',
  },
] as const

const folder = join(cacheDir(), 'deploy-tools')

/** @returns its path, or undefined where it is neither in the cache nor on the PATH */
export function findTool(name: Tool): string | undefined {
  return [cached(name), ...(process.env.PATH ?? '').split(delimiter).map(dir => join(dir || '.', name))].find(canRun)
}

/** The folder of JSON Schemas that kubeconform reads; undefined while it has not been made. */
export function findSchemas(): string | undefined {
  const schemas = schemasFolder()
  return existsSync(schemas) ? schemas : undefined
}

/**
 * Builds what the cache lacks, which takes minutes the first time.
 * @returns why something could not be made, a sentence each
 */
export function installTools(say: (line: string) => void): string[] {
  if (spawnSync('go', ['version']).status !== 0) return ['Go was not found, with which they are built']
  mkdirSync(folder, { recursive: true })
  const failures: string[] = []
  for (const name of Object.keys(TOOLS) as Tool[]) {
    if (canRun(cached(name))) continue
    say(`building ${name} (${TOOLS[name].split('@').at(-1)})`)
    const scratch = mkdtempSync(join(folder, 'build-'))
    const { status, stderr } = go(['install', TOOLS[name]], { GOBIN: scratch })
    if (status === 0) renameSync(join(scratch, name), cached(name))
    else failures.push(`${name} could not be built: ${lastLine(stderr)}`)
    rmSync(scratch, { recursive: true, force: true })
  }
  if (findSchemas() === undefined) {
    say('fetching the definitions of objects')
    const failure = fetchSchemas()
    if (failure !== undefined) failures.push(failure)
  }
  return failures
}

/** Modules are unpacked beside the cache of Go and removed again: they have 150 MB, and the schemas a few. */
function fetchSchemas(): string | undefined {
  const modules = mkdtempSync(join(tmpdir(), 'holdfast-schemas-'))
  try {
    const definitions = new Map<string, Definition>()
    for (const { module, files } of SCHEMAS) {
      const { status, stdout, stderr } = go(['mod', 'download', '-json', module], {
        GOMODCACHE: modules,
        GOFLAGS: '-modcacherw',
      })
      if (status !== 0) return `${module} could not be fetched: ${lastLine(stderr || stdout)}`
      const { Dir: dir } = JSON.parse(stdout) as { readonly Dir: string }
      for (const file of globSync(files, { cwd: dir })) {
        const text = readFileSync(join(dir, file), 'utf8')
        const found = file.endsWith('.json') ? schemasOfSwagger(JSON.parse(text)) : schemasOfCrd(parse(text))
        for (const [name, schema] of found) definitions.set(name, schema)
      }
    }
    const unfinished = `${schemasFolder()}.${randomUUID()}.tmp`
    mkdirSync(unfinished, { recursive: true })
    for (const [name, schema] of definitions) writeFileSync(join(unfinished, `${name}.json`), JSON.stringify(schema))
    renameSync(unfinished, schemasFolder())
    return undefined
  } finally {
    rmSync(modules, { recursive: true, force: true })
  }
}

function go(args: readonly string[], env: NodeJS.ProcessEnv) {
  return spawnSync('go', args, {
    encoding: 'utf8',
    env: { ...process.env, ...env },
    cwd: tmpdir(),
    maxBuffer: 64 * 1024 * 1024,
  })
}

function cached(name: Tool): string {
  return join(folder, `${name}-${TOOLS[name].split('@').at(-1)}`)
}

function schemasFolder(): string {
  return join(folder, ['schemas', ...SCHEMAS.map(({ module }) => module.split('@').at(-1))].join('-'))
}

function canRun(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? ''
}
