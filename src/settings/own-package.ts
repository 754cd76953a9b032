import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'

/** Of `src/` in a checkout, of `dist/` in a package: both stand beside package.json. */
const ROOT = new URL('../../', import.meta.url)
const RUNS_FROM_SOURCE = import.meta.url.endsWith('.ts')

interface Manifest {
  readonly name: string
  readonly exports: Readonly<Record<string, string | { readonly default: string }>>
}

let resolvesOwnPackage = false

/**
 * From here on `import … from 'holdfast'` is this very copy, for any file that the process loads: a project's definitions are made by
 * the engine that runs them, also where its `node_modules` has another version of it or none, and in a checkout, which runs from sources.
 */
export function resolveOwnPackage(): void {
  if (resolvesOwnPackage) return
  resolvesOwnPackage = true
  const modules = ownModules()
  registerHooks({
    resolve(specifier, context, next) {
      const url = modules.get(specifier)
      return url === undefined ? next(specifier, context) : { url, shortCircuit: true }
    },
  })
}

/** What package.json exports as code: specifier to URL. */
function ownModules(): ReadonlyMap<string, string> {
  const { name, exports } = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')) as Manifest
  return new Map(
    Object.entries(exports).flatMap(([path, target]) => {
      if (typeof target === 'string') return []
      const built = target.default
      const file = RUNS_FROM_SOURCE ? built.replace('/dist/', '/src/').replace(/\.js$/, '.ts') : built
      return [[name + path.slice(1), new URL(file, ROOT).href] as const]
    }),
  )
}
