import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { extname, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { StreamDefinition } from '../engine/definition.ts'
import { UsageError } from '../engine/errors.ts'
import { resolveOwnPackage } from './own-package.ts'

/** What `holdfast.config.ts` exports by default. */
export interface StreamFile {
  readonly streams: readonly StreamDefinition[]
}

/** Looked for in the working directory, in this order, when HOLDFAST_CONFIG is not set. */
const STREAM_FILES = ['ts', 'mts', 'cts', 'js', 'mjs', 'cjs'].map(extension => `holdfast.config.${extension}`)

const SHAPE = 'export default defineConfig({ streams: [orders, …] })'

/**
 * @param named value of HOLDFAST_CONFIG; `undefined` when it is not set
 * @param cwd where relative paths begin
 * @returns absolute path of the file that lists the streams; `undefined` when none is named and none of the usual ones exists
 * @throws UsageError when the file that is named does not exist, or another one looks as if it were meant: orders would run instead
 */
export function findStreamFile(named: string | undefined, cwd: string): string | undefined {
  if (named === undefined) {
    const found = STREAM_FILES.map(name => resolve(cwd, name)).find(path => existsSync(path))
    const meant =
      found === undefined ? readdirSync(cwd).find(name => /^holdfast\.config\.[a-z]+$/.test(name)) : undefined
    if (meant === undefined) return found
    throw new UsageError(
      `${resolve(cwd, meant)} is not read: the streams are listed by ${STREAM_FILES.join(', ')}, or by the file that HOLDFAST_CONFIG ` +
        'names; rename it, or move it away to run orders alone',
    )
  }
  const path = resolve(cwd, named)
  if (existsSync(path)) return path
  throw new UsageError(
    `HOLDFAST_CONFIG is ${JSON.stringify(named)}: there is no file ${path}; correct the path, or unset it`,
  )
}

/**
 * Imports the file and takes its streams. TypeScript is read as it stands (types are stripped), so nothing has to be built.
 * @throws UsageError naming file and line when it cannot be imported, or exports something else
 */
export async function readStreamFile(path: string): Promise<readonly StreamDefinition[]> {
  resolveOwnPackage()
  let imported: { readonly default?: unknown }
  try {
    imported = await import(pathToFileURL(path).href)
  } catch (error) {
    throw new UsageError(`${path} cannot be loaded: ${explain(error, path)}`, { cause: error })
  }
  const { default: exported } = imported
  if (exported === undefined) throw new UsageError(`${path} has no default export; it must end with: ${SHAPE}`)
  if (!isStreamFile(exported)) {
    throw new UsageError(
      `the default export of ${path} has no list "streams" with at least one definition; it must be: ${SHAPE}`,
    )
  }
  return exported.streams
}

function isStreamFile(value: unknown): value is StreamFile {
  if (typeof value !== 'object' || value === null || !('streams' in value)) return false
  const { streams } = value
  return Array.isArray(streams) && streams.length > 0 && streams.every(one => typeof one === 'object' && one !== null)
}

/** The message, and the line of the file that it is about where that is known. */
function explain(error: unknown, path: string): string {
  if (!(error instanceof Error)) return String(error)
  const place = placeIn(error.stack ?? '') ?? (error instanceof SyntaxError ? syntaxPlace(path) : undefined)
  const what = error.name === 'Error' ? error.message : `${error.name}: ${error.message}`
  return place === undefined || what.includes(place) ? what : `${what} (${place})`
}

/** Those that are on the way to a file of the project. */
const OWN_FILES = new URL('.', import.meta.url).href

/** The first line of a file of the project: `/app/streams/returns.ts:12:3`. Files of Node itself have no such path. */
function placeIn(stack: string): string | undefined {
  for (const line of stack.split('\n')) {
    const [, url, position] = /((?:file:\/\/)?\/[^\s()]+\.[cm]?[jt]s):(\d+(?::\d+)?)\)?$/.exec(line) ?? []
    if (url === undefined) continue
    const path = url.startsWith('file:') ? fileURLToPath(url) : url
    if (!pathToFileURL(path).href.startsWith(OWN_FILES)) return `${path}:${position}`
  }
  return undefined
}

/** V8 reports the place of a mistake in JavaScript only when the error ends a process. */
function syntaxPlace(path: string): string | undefined {
  const hook = new URL(`own-package${extname(import.meta.url)}`, import.meta.url).href
  const code = `import { resolveOwnPackage } from '${hook}'
    resolveOwnPackage()
    await import(${JSON.stringify(pathToFileURL(path).href)})`
  const { stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', code], {
    encoding: 'utf8',
    timeout: 10_000,
  })
  return placeIn(stderr ?? '')
}
