import { stripTypeScriptTypes } from 'node:module'
import type { StreamDefinition } from '../engine/definition.ts'

/** Source text of a project's files, as a team would write it by hand. */

const MAX_WIDTH = 110

/** How files end that hold TypeScript: `mts` where a plain one would be taken for CommonJS. */
export type Extension = 'ts' | 'mts'

/** `streams/NAME.ts`. @param definition without functions; its schema stands in a file of its own */
export function definitionSource({ schema: _, ...definition }: StreamDefinition): string {
  const { name, ...rest } = definition
  const members = [
    `name: ${literal(name)},`,
    'schema,',
    ...Object.entries(rest).map(([key, value]) => member(key, value, '  ')),
  ]
  return `import { defineStream } from 'holdfast'
import schema from './${name}.schema.json' with { type: 'json' }

export default defineStream({
${members.map(line => `  ${line}`).join('\n')}
})
`
}

/** `streams/NAME.test.ts`: it runs with `node --test`, without servers. */
export function testSource(name: string, extension: Extension): string {
  const variable = variableOf(name)
  return `import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { judge } from 'holdfast/testing'
import ${variable} from './${name}.${extension}'

const samples: unknown[] = [JSON.parse(readFileSync(new URL('./${name}.sample.json', import.meta.url), 'utf8'))].flat()

test('every sample is valid and has its row', () => {
  for (const sample of samples) {
    const judged = judge(${variable}, Buffer.from(JSON.stringify(sample)))
    assert.ok(judged.ok, JSON.stringify(judged))
  }
})

test('a value without its key is a dead letter', () => {
  const judged = judge(${variable}, Buffer.from('{}'))
  assert.equal(judged.ok, false)
})
`
}

/** A `holdfast.config.ts` with this stream alone. */
export function configSource(name: string, extension: Extension): string {
  const variable = variableOf(name)
  return `import { defineConfig } from 'holdfast'
${importLine(name, extension)}

export default defineConfig({ streams: [${variable}] })
`
}

export function importLine(name: string, extension: Extension): string {
  return `import ${variableOf(name)} from './streams/${name}.${extension}'`
}

/**
 * The config with one more stream, where that can be done without understanding the whole file: one list of plain names.
 * @returns `undefined` when it cannot: the lines have to be added by hand
 */
export function withStream(config: string, name: string, extension: Extension): string | undefined {
  const lists = [...config.matchAll(/\bstreams:\s*\[([\w$\s,]*)\]/g)]
  const imports = [...config.matchAll(/^import .*$/gm)]
  const [list] = lists
  const last = imports.at(-1)
  if (list === undefined || lists.length > 1 || last === undefined) return undefined
  const names = (list[1] ?? '').split(',').map(text => text.trim())
  const streams = [...names.filter(text => text !== ''), variableOf(name)]
  const end = last.index + last[0].length
  const edited = `${config.slice(0, end)}\n${importLine(name, extension)}${config.slice(end)}`.replace(
    list[0],
    `streams: [${streams.join(', ')}]`,
  )
  return isModule(edited) ? edited : undefined
}

function isModule(source: string): boolean {
  const { emitWarning } = process
  // Node calls the function experimental, on stderr: nothing that the reader of our output could act on.
  process.emitWarning = () => {}
  try {
    stripTypeScriptTypes(source)
    return true
  } catch {
    return false
  } finally {
    process.emitWarning = emitWarning
  }
}

/** `package.json`, for a folder that has none. Holdfast is not named: no registry has it, so npm adds the file that it is installed from. */
export function packageSource(folder: string): string {
  return json({
    name:
      folder
        .toLowerCase()
        .replace(/[^a-z0-9._-]+/g, '-')
        .replace(/^[._-]+/, '') || 'streams',
    private: true,
    type: 'module',
    scripts: { check: 'tsc', test: 'node --test "streams/*.test.ts"', start: 'holdfast serve' },
    devDependencies: { '@types/node': '^24.0.0', typescript: '^5.9.0 || ^7.0.0' },
  })
}

/** `tsconfig.json`, for a folder that has none: nothing is emitted, because Node runs TypeScript as it is. */
export function tsconfigSource(extension: Extension): string {
  return json({
    compilerOptions: {
      target: 'es2024',
      module: 'nodenext',
      types: ['node'],
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      resolveJsonModule: true,
      erasableSyntaxOnly: true,
      allowImportingTsExtensions: true,
    },
    include: [`holdfast.config.${extension}`, 'streams'],
  })
}

export function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`
}

/** `return-lines` as `returnLines`. */
export function variableOf(name: string): string {
  const camel = name.replace(/[-_]+(\w)/g, (_, letter: string) => letter.toUpperCase())
  return RESERVED.has(camel) ? `${camel}Stream` : camel
}

/** Words that cannot name a variable of a module, of those that can name a stream; and what the generated files import. */
const RESERVED: ReadonlySet<string> = new Set(
  (
    'arguments await break case catch class const continue debugger default delete do else enum eval export extends false finally for ' +
    'function if implements import in instanceof interface let new null package private protected public return static super switch this ' +
    'throw true try typeof var void while with yield assert judge samples schema test'
  ).split(' '),
)

function member(key: string, value: unknown, indent: string): string {
  return `${/^[A-Za-z_$][\w$]*$/.test(key) ? key : literal(key)}: ${literal(value, indent)},`
}

/** A value of JSON as an expression, on one line where it fits. */
function literal(value: unknown, indent = ''): string {
  if (typeof value === 'string') return quoted(value)
  if (typeof value !== 'object' || value === null) return String(value)
  const deeper = `${indent}  `
  const isList = Array.isArray(value)
  const inner = isList
    ? value.map(entry => `${literal(entry, deeper)},`)
    : Object.entries(value).map(([key, entry]) => member(key, entry, deeper))
  const [open, close] = isList ? ['[', ']'] : ['{ ', ' }']
  if (inner.length === 0) return isList ? '[]' : '{}'
  const line = `${open}${inner.join(' ').replace(/,$/, '')}${close}`
  if (!line.includes('\n') && indent.length + line.length < MAX_WIDTH && (isList || Object.keys(value).length < 4))
    return line
  return `${open.trim()}\n${inner.map(text => `${deeper}${text}`).join('\n')}\n${indent}${close.trim()}`
}

function quoted(text: string): string {
  return `'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`
}
