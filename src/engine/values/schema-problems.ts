import type { JsonSchema } from '../definition.ts'
import { MAX_DEPTH } from './depth.ts'
import { FORMATS } from './formats.ts'
import { escapeSegment, isFieldName } from './pointer.ts'
import { ANNOTATIONS, isSchema, type SchemaProblem, SUBSCHEMAS, withoutRefs } from './refs.ts'
import { type Shape, shapeOf, typesOf } from './shape.ts'
import { newAjv } from './violations.ts'

const DIALECT = 'https://json-schema.org/draft/2020-12/schema'

/** Keywords of 2020-12 that hold no schemas and are supported. */
const PLAIN = new Set([
  ...['$schema', '$id', '$ref', ...ANNOTATIONS],
  ...['contentEncoding', 'contentMediaType', 'type', 'enum', 'const', 'format', 'pattern', 'minLength', 'maxLength'],
  ...['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf', 'required', 'dependentRequired'],
  ...['minProperties', 'maxProperties', 'minItems', 'maxItems', 'uniqueItems', 'minContains', 'maxContains'],
])

/** Keywords that people bring from elsewhere, and what to write instead. */
const INSTEAD: Readonly<Record<string, string>> = {
  patternProperties: 'name the fields under "properties", or allow any name with "additionalProperties": { … }',
  prefixItems:
    'an entry of an array is a row, and all rows are alike: write "items"; or give the place no type, and it is kept as jsonb',
  additionalItems: 'write "items": { … }, or give the place no type, and it is kept as jsonb',
  nullable: 'write "type": ["string", "null"]',
  dependencies: 'write "dependentRequired" or "dependentSchemas"',
  $anchor: 'write "$ref": "#/$defs/NAME"',
  $dynamicRef: 'write "$ref": "#/$defs/NAME"',
  $dynamicAnchor: 'write "$ref": "#/$defs/NAME"',
  id: 'write "$id"',
  example: 'write "examples": [ … ]',
}

/**
 * Every mistake in a schema that keeps a stream from being made of it, each with its place. None: `createValues` compiles it.
 *
 * Known fields are those under `properties`, through `$ref`. What stands under `allOf`, `anyOf`, `oneOf`, `if` and the like restricts them
 * and cannot add to them.
 */
export function schemaProblems(root: JsonSchema): readonly SchemaProblem[] {
  if (!isSchema(root)) return [{ at: '#', message: 'is no JSON Schema: it must be an object' }]
  if (isEndless(root)) return [{ at: '#', message: `is nested deeper than ${MAX_LEVELS} levels, or holds itself` }]
  const { $schema } = root
  if ($schema !== undefined && $schema !== DIALECT && $schema !== `${DIALECT}#`) {
    return [{ at: '#/$schema', message: `is ${JSON.stringify($schema)}; only ${DIALECT} is supported` }]
  }
  const problems: SchemaProblem[] = [...keywordProblems(root, '#')]
  const { schema, problems: refs } = withoutRefs(root)
  problems.push(...refs)
  if (problems.length > 0) return problems
  problems.push(...metaProblems(schema))
  if (problems.length > 0) return problems
  if (!(typesOf(schema).length === 1 && typesOf(schema)[0] === 'object')) {
    return [{ at: '#', message: 'must have "type": "object": a value is one JSON object' }]
  }
  problems.push(...placeProblems(schema, '#', 0))
  return problems.length > 0 ? problems : compileProblems(schema)
}

/** Objects and lists within one another: twice and more those of a value, since each field stands under its keyword. */
const MAX_LEVELS = 1_000

/** Level by level and each object once, so that neither a deep schema nor one that holds itself overflows the stack. */
function isEndless(schema: JsonSchema): boolean {
  let level = new Set<object>([schema])
  for (let depth = 0; level.size > 0; depth++) {
    if (depth === MAX_LEVELS) return true
    const inner = [...level].flatMap(node => Object.values(node))
    level = new Set(inner.filter(value => typeof value === 'object' && value !== null))
  }
  return false
}

/** Problems that each keyword shows on its own. */
function keywordProblems(node: unknown, at: string): SchemaProblem[] {
  if (Array.isArray(node)) return node.flatMap((entry, index) => keywordProblems(entry, `${at}/${index}`))
  if (!isSchema(node)) return []
  return Object.entries(node).flatMap(([name, value]): SchemaProblem[] => {
    const place = `${at}/${escapeSegment(name)}`
    const kind = SUBSCHEMAS.get(name)
    if (kind === 'node') return keywordProblems(value, place)
    if (kind === 'map') {
      return Object.entries(isSchema(value) ? value : {}).flatMap(([key, inner]) => [
        ...(name === 'properties' ? nameProblems(key, place) : []),
        ...keywordProblems(inner, `${place}/${escapeSegment(key)}`),
      ])
    }
    if (!PLAIN.has(name)) {
      const instead = Object.hasOwn(INSTEAD, name) ? INSTEAD[name] : undefined
      return [{ at: place, message: `is not supported${instead === undefined ? '; remove it' : `; ${instead}`}` }]
    }
    if (name === '$id' && at !== '#') return [{ at: place, message: 'is supported at the top only; remove it' }]
    if (name === 'pattern' && typeof value === 'string' && !isPattern(value)) {
      return [{ at: place, message: `${JSON.stringify(value)} is no regular expression of JavaScript with Unicode` }]
    }
    if (name === 'format' && typeof value === 'string' && !FORMATS.has(value)) {
      return [
        { at: place, message: `${JSON.stringify(value)} is not known; known are ${[...FORMATS.keys()].join(', ')}` },
      ]
    }
    return []
  })
}

function nameProblems(name: string, at: string): SchemaProblem[] {
  if (isFieldName(name)) return []
  const why = 'cannot be the name of a field: it is __proto__, or has a backslash, a NUL or half a surrogate pair'
  return [{ at: `${at}/${escapeSegment(name)}`, message: why }]
}

function isPattern(text: string): boolean {
  try {
    return new RegExp(text, 'u') instanceof RegExp
  } catch {
    return false
  }
}

/** Compiled by its first use, and then kept: it takes 100 ms. */
const ajv = newAjv({ allErrors: true })

/** Problems that the meta-schema of 2020-12 reports. */
function metaProblems(schema: JsonSchema): SchemaProblem[] {
  try {
    if (ajv.validateSchema(schema) === true) return []
  } catch (error) {
    return [{ at: '#', message: messageOf(error) }]
  }
  // A failure is reported by each vocabulary through which the meta-schema was reached; the deepest of a place is the most specific.
  const found = (ajv.errors ?? []).filter(({ keyword }) => keyword !== 'if' && keyword !== 'anyOf')
  const unique = new Map(found.map(({ instancePath, message }) => [instancePath, message]))
  return [...unique].map(([path, message]) => ({ at: `#${path}`, message: wordsFor(path, message) }))
}

/** "must be array", which ajv says of a misspelt type, is only half of it. */
function wordsFor(path: string, message = 'is no JSON Schema'): string {
  if (!/\/type(\/\d+)?$/.test(path) || /\/properties\/type$/.test(path)) return message
  return 'must be one of array, boolean, integer, null, number, object, string, or a list of them'
}

/** Keywords whose schemas restrict a place and cannot add fields to it. */
const BRANCHES = ['allOf', 'anyOf', 'oneOf', 'if', 'then', 'else', 'not', 'dependentSchemas']

/** Problems of a place that follow from its type, in a schema without `$ref`s. */
function placeProblems(node: unknown, at: string, depth: number): SchemaProblem[] {
  if (!isSchema(node)) return []
  if (depth >= MAX_DEPTH) return [{ at, message: `is nested deeper than ${MAX_DEPTH}, which no value may be` }]
  const { properties, items, additionalProperties, required } = node
  const types = typesOf(node)
  const shape = shapeOf(node)
  const problems: SchemaProblem[] = []
  if (types.length === 0 && (properties !== undefined || items !== undefined)) {
    const type = properties === undefined ? 'array' : 'object'
    problems.push({
      at,
      message: `has no "type"; add "type": "${type}", else a value of any other type would be valid, too`,
    })
  }
  if (shape.kind === 'object' && shape.members.size > MAX_FIELDS) {
    const message = `has ${shape.members.size} fields, and an object may have ${MAX_FIELDS}: keep the others under a place without a type, as jsonb`
    problems.push({ at: `${at}/properties`, message })
  }
  if (shape.kind === 'object' && shape.others === undefined) {
    for (const name of Array.isArray(required) ? required.map(String) : []) {
      if (!shape.members.has(name)) {
        problems.push({
          at: `${at}/required`,
          message: `requires ${JSON.stringify(name)}, which is not under "properties" and would be dropped`,
        })
      }
    }
  }
  for (const [name, branch] of branchesOf(node)) problems.push(...branchProblems(branch, shape, `${at}/${name}`))
  for (const [name, inner] of Object.entries(isSchema(properties) ? properties : {})) {
    problems.push(...placeProblems(inner, `${at}/properties/${escapeSegment(name)}`, depth + 1))
  }
  problems.push(...placeProblems(items, `${at}/items`, depth + 1))
  problems.push(...placeProblems(additionalProperties, `${at}/additionalProperties`, depth + 1))
  return problems
}

/** With some hundreds more the code that validates them overflows the stack of its compiler. */
const MAX_FIELDS = 1_000

function branchesOf(node: JsonSchema): [name: string, branch: unknown][] {
  return BRANCHES.flatMap((name): [string, unknown][] => {
    const branch = node[name]
    if (Array.isArray(branch)) return branch.map((inner, index) => [`${name}/${index}`, inner])
    if (name !== 'dependentSchemas') return branch === undefined ? [] : [[name, branch]]
    return Object.entries(isSchema(branch) ? branch : {}).map(([key, inner]) => [
      `${name}/${escapeSegment(key)}`,
      inner,
    ])
  })
}

/** A field that only a branch names would be valid, and dropped. */
function branchProblems(branch: unknown, shape: Shape, at: string): SchemaProblem[] {
  if (!isSchema(branch) || shape.kind === 'any') return []
  const { properties, items } = branch
  const problems = Object.entries(isSchema(properties) ? properties : {}).flatMap(([name, inner]): SchemaProblem[] => {
    const place = `${at}/properties/${escapeSegment(name)}`
    const member = shape.kind === 'object' ? (shape.members.get(name)?.shape ?? shape.others) : undefined
    if (member !== undefined) return branchProblems(inner, member, place)
    // What a branch forbids, or requires of a place of another type, adds nothing.
    if (inner === false || shape.kind !== 'object') return []
    return [
      {
        at: place,
        message: `names a field that "properties" beside this branch does not; name it there, too, else it is dropped`,
      },
    ]
  })
  if (shape.kind === 'array') problems.push(...branchProblems(items, shape.entries, `${at}/items`))
  for (const [name, inner] of branchesOf(branch)) problems.push(...branchProblems(inner, shape, `${at}/${name}`))
  return problems
}

function compileProblems(schema: JsonSchema): SchemaProblem[] {
  try {
    newAjv({}).compile(schema)
    return []
  } catch (error) {
    return [{ at: '#', message: messageOf(error) }]
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
