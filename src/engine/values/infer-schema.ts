import type { JsonSchema } from '../definition.ts'
import { hasFormat } from './formats.ts'
import { isInstant } from './instant.ts'
import { escapeSegment, isFieldName } from './pointer.ts'

/** No stream can be derived from the samples. The message names what is missing and what to do. */
export class InferenceError extends Error {}

/** The node of a schema as the inference writes it: nothing but these keywords occurs. */
export interface InferredNode {
  readonly type?: string | readonly string[]
  readonly format?: string
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, InferredNode>>
  readonly items?: InferredNode
}

/**
 * A JSON Schema (2020-12) that accepts each sample: a field is required when every sample has it; a text has a format when every sample
 * has that format.
 * @throws InferenceError when there are no samples, or a sample is no object
 */
export function inferSchema(samples: readonly unknown[]): {
  readonly schema: JsonSchema & InferredNode
  readonly assumptions: readonly string[]
} {
  if (samples.length === 0) throw new InferenceError('there is no sample: give at least one JSON object')
  const wrong = samples.findIndex(sample => kindOf(sample) !== 'object')
  if (wrong >= 0) {
    throw new InferenceError(
      `sample ${wrong + 1} is ${an(kindOf(samples[wrong]))}: each sample must be one JSON object`,
    )
  }
  const assumptions: string[] = []
  if (samples.length === 1) {
    assumptions.push(
      'There is one sample: every field in it is taken as required. Give several samples, or remove names from "required".',
    )
  }
  const node = nodeOf(samples, '', assumptions)
  const whole = wholeNumbers(node)
  if (whole.length > 0) {
    assumptions.push(`Whole numbers in every sample, so that fractions are refused: ${whole.join(', ')}.`)
  }
  return { schema: { $schema: 'https://json-schema.org/draft/2020-12/schema', ...node }, assumptions }
}

type Kind = 'null' | 'string' | 'integer' | 'number' | 'boolean' | 'object' | 'array'

function kindOf(value: unknown): Kind {
  if (value === null || value === undefined) return 'null'
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number'
  return typeof value === 'string' || typeof value === 'boolean' ? (typeof value as Kind) : 'object'
}

/** @param values what the samples have in one place; at least one */
function nodeOf(values: readonly unknown[], pointer: string, assumptions: string[]): InferredNode {
  const kinds = new Set(values.map(kindOf))
  const nullable = kinds.delete('null')
  if (kinds.has('number')) kinds.delete('integer')
  const [kind, ...others] = kinds
  if (kind === undefined) {
    assumptions.push(`${pointer} is null in every sample: any JSON is accepted there, and stored as jsonb.`)
    return {}
  }
  if (others.length > 0) {
    assumptions.push(`${pointer} is ${[kind, ...others].join(' or ')} in the samples: it is stored as jsonb.`)
  }
  const present = values.filter(value => value !== null && value !== undefined)
  const types = [...kinds, ...(nullable ? ['null'] : [])]
  const type = types.length === 1 ? { type: kind } : { type: types }
  if (others.length > 0) return type
  switch (kind) {
    case 'string':
      return { ...type, ...formatOf(present as string[], pointer, assumptions) }
    case 'number':
      assumptions.push(
        `${pointer} holds decimals: stored as double precision. For money, give its column a type such as numeric(12,2).`,
      )
      return type
    case 'object':
      return { ...type, ...membersOf(present as Readonly<Record<string, unknown>>[], pointer, assumptions) }
    case 'array': {
      const entries = (present as unknown[][]).flat()
      if (entries.length > 0) return { ...type, items: nodeOf(entries, `${pointer}/*`, assumptions) }
      assumptions.push(
        `${pointer} is empty in every sample: its entries are not restricted, and it is stored as jsonb.`,
      )
      return type
    }
    default:
      return type
  }
}

function membersOf(
  objects: readonly Readonly<Record<string, unknown>>[],
  pointer: string,
  assumptions: string[],
): InferredNode {
  const all = [...new Set(objects.flatMap(object => Object.keys(object)))]
  const names = all.filter(isFieldName)
  if (names.length < all.length) {
    assumptions.push(
      `${pointer || 'The value'} has fields whose names no schema of a stream may have: they are dropped.`,
    )
  }
  if (names.length === 0) return {}
  const required = names.filter(name => objects.every(object => Object.hasOwn(object, name)))
  const properties = names.map(name => {
    const values = objects.filter(object => Object.hasOwn(object, name)).map(object => object[name])
    return [name, nodeOf(values, `${pointer}/${escapeSegment(name)}`, assumptions)] as const
  })
  return { ...(required.length > 0 && { required }), properties: Object.fromEntries(properties) }
}

/** The formats that are looked for, the narrowest first. */
const LOOKED_FOR: readonly (readonly [format: string, isOne: (text: string) => boolean])[] = [
  ['date-time', isInstant],
  ['date', text => hasFormat('date', text)],
  ['uuid', text => /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i.test(text)],
  ['email', text => hasFormat('email', text)],
  ['uri', text => /^[a-z][a-z\d+.-]*:\/\//i.test(text) && hasFormat('uri', text)],
]

function formatOf(texts: readonly string[], pointer: string, assumptions: string[]): { readonly format?: string } {
  const found = LOOKED_FOR.find(([, isOne]) => texts.every(isOne))
  if (found === undefined) return {}
  assumptions.push(`${pointer} is ${an(found[0])} in every sample: any other text is refused.`)
  return { format: found[0] }
}

function wholeNumbers(node: InferredNode, pointer = ''): string[] {
  if ([node.type ?? []].flat().includes('integer')) return [pointer]
  if (node.items !== undefined) return wholeNumbers(node.items, `${pointer}/*`)
  return Object.entries(node.properties ?? {}).flatMap(([name, inner]) =>
    wholeNumbers(inner, `${pointer}/${escapeSegment(name)}`),
  )
}

function an(noun: string): string {
  if (noun === 'null') return noun
  return `${/^[aeio]/.test(noun) ? 'an' : 'a'} ${noun}`
}
