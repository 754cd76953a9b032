/**
 * Holds the doors between the rooms of src/, so that each part can be read, tested and exchanged on its own:
 *
 * - a file in a room imports from core/, engine/, its own room and the ports.ts of another, and types from orders/;
 * - core/ imports from core/ and engine/ alone, and no package;
 * - app.ts, its parts (app-*.ts) and cli/ compose, and so import from every room; app.ts and its parts are imported by
 *   main.ts, cli/ and one another only;
 * - main.ts knows telemetry/ besides, to say why nothing started;
 * - other files at the top of src/ (config.ts and its like) import from core/ and one another, and rooms do not import them;
 * - a library is known in its own room only;
 * - the environment is read at the edges; everybody else is handed what concerns them.
 */
import { globSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { argv } from 'node:process'
import { fileURLToPath } from 'node:url'

export interface Violation {
  readonly file: string
  readonly line: number
  readonly why: string
}

/** The rooms that may know a library. One that is not listed may be used anywhere but in core/. */
const libraries: Readonly<Record<string, readonly string[]>> = {
  '@confluentinc/kafka-javascript': ['kafka'],
  pg: ['postgres', 'jobs', 'embedded'],
  'node-pg-migrate': ['postgres'],
  'pg-boss': ['jobs'],
  'lru-cache': ['cache'],
  pino: ['telemetry'],
  'prom-client': ['telemetry'],
  '@opentelemetry/api': ['telemetry'],
  '@opentelemetry/sdk-node': ['telemetry'],
  '@opentelemetry/instrumentation-pg': ['telemetry'],
  express: ['http'],
  helmet: ['http'],
  ajv: ['engine', 'orders'],
  commander: ['cli'],
}

/** May read process.env: files at the top of src/, or whole rooms. */
const readersOfEnvironment = ['config.ts', 'main.ts', 'cli', 'embedded']

interface Import {
  readonly specifier: string
  readonly typeOnly: boolean
  readonly line: number
}

/** @param file path below src/, with slashes, as `kafka/consumer.ts`. */
export function checkFile(file: string, source: string): Violation[] {
  const room = roomOf(file)
  const found = importsOf(source).flatMap(({ specifier, typeOnly, line }) => {
    const why = specifier.startsWith('.')
      ? whyNotDoor(file, posix.join(posix.dirname(file), specifier), typeOnly)
      : whyNotLibrary(room, specifier)
    return why ? [{ file, line, why }] : []
  })
  if (!readersOfEnvironment.includes(room || file)) {
    for (const { index } of withoutComments(source).matchAll(/\bprocess\.env\b|\benv\b[^'"\n]*from 'node:process'/g)) {
      found.push({ file, line: lineAt(source, index), why: 'reads process.env: take the value as an argument' })
    }
  }
  return found
}

function whyNotDoor(file: string, target: string, typeOnly: boolean): string | undefined {
  const [from, to] = [roomOf(file), roomOf(target)]
  if (target === '../package.json' && !from) return undefined // the version
  // The part of http/ that runs in the browser; a terminal shows some things as the pages do.
  if (target.startsWith('../web/') && (from === 'http' || from === 'cli')) return undefined
  if (target.startsWith('../')) return `imports ${target.slice(3)}, which is outside src/`
  if (from === 'core')
    return to === 'core' || to === 'engine' ? undefined : `core/ imports from core/ and engine/ alone, not ${target}`
  if (isApp(target))
    return file === 'main.ts' || isApp(file) || from === 'cli' ? undefined : `only main.ts and cli/ import ${target}`
  if (file === 'settings/streams.ts' && (to === 'orders' || to === 'streams')) return undefined // the loader of streams
  if (to === 'core' || to === 'engine' || target.endsWith('/ports.ts') || isApp(file) || from === 'cli')
    return undefined
  if (file === 'main.ts' && to === 'telemetry') return undefined // it must be able to say why nothing started
  if (from === to) return undefined // one room; or both at the top of src/
  if (to === 'orders' && typeOnly) return undefined
  if (to === 'orders') return `${from || file} may import types from orders/ only ("import type")`
  return `${from ? `${from}/` : file} may not import ${target}: ask for it as an argument, by a port of core/`
}

function whyNotLibrary(room: string, specifier: string): string | undefined {
  if (specifier.startsWith('#')) return 'inside src/ imports are relative'
  const isNode = specifier.startsWith('node:')
  if (room === 'core' && !isNode) return `core/ is pure and knows no library, but imports ${specifier}`
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
  const rooms = libraries[name]
  if (!rooms || rooms.includes(room)) return undefined
  return `${name} is known in ${rooms.map(known => `${known}/`).join(' and ')} only`
}

/** The composition root, or a part of it. */
function isApp(file: string): boolean {
  return /^app(-[a-z-]+)?\.ts$/.test(file)
}

/** '' for a file at the top of src/, and for the settings, which are going to lie in a folder. */
function roomOf(file: string): string {
  if (file.startsWith('settings/')) return ''
  return file.includes('/') ? (file.split('/')[0] ?? '') : ''
}

/** Reads imports by their form, which biome keeps uniform: enough for a check, and no parser to wait for. */
function importsOf(source: string): Import[] {
  const code = withoutComments(source)
  const statements = /^(?:import|export)\s+(type\s+)?([^'";]*?\bfrom\s+)?'([^']+)'/gm
  const calls = /\bimport\(\s*'([^']+)'/g
  return [
    ...[...code.matchAll(statements)].map(([, type, names = '', specifier = ''], index, all) => ({
      specifier,
      typeOnly: type !== undefined || onlyTypes(names),
      line: lineAt(source, all[index]?.index),
    })),
    ...[...code.matchAll(calls)].map(({ 1: specifier = '', index }) => ({
      specifier,
      typeOnly: false,
      line: lineAt(source, index),
    })),
  ]
}

/** `{ type A, type B } from`: nothing of it is left at run time. */
function onlyTypes(names: string): boolean {
  const list = /^\{([^}]*)\}/.exec(names.trim())?.[1]
  if (list === undefined) return false
  return list
    .split(',')
    .map(name => name.trim())
    .filter(Boolean)
    .every(name => name.startsWith('type '))
}

/** Comments blanked out, lengths kept, so that positions still tell the line. */
function withoutComments(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, comment => comment.replace(/[^\n]/g, ' '))
}

function lineAt(source: string, index = 0): number {
  return source.slice(0, index).split('\n').length
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const src = new URL('../src/', import.meta.url)
  const files = globSync('**/*.ts', { cwd: src }).map(file => file.replaceAll('\\', '/'))
  const violations = files.sort().flatMap(file => checkFile(file, readFileSync(new URL(file, src), 'utf8')))
  for (const { file, line, why } of violations) console.error(`src/${file}:${line}: ${why}`)
  console.error(
    violations.length === 0 ? `doors: ${files.length} files keep them` : `doors: ${violations.length} broken`,
  )
  if (violations.length > 0) process.exitCode = 1
}
