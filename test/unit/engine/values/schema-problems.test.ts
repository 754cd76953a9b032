import { expect, it } from 'vitest'
import type { JsonSchema } from '#src/engine/definition.ts'
import { schemaProblems } from '#src/engine/values/values.ts'
import { orderSchema } from '#src/streams/orders/schema.ts'

const object = (properties: object, rest: object = {}): JsonSchema => ({ type: 'object', properties, ...rest })
const text = { type: 'string' }

function holdingItself(): JsonSchema {
  const properties: Record<string, unknown> = { a: text }
  const schema = object(properties)
  properties.left = schema
  properties.right = schema
  return schema
}

it('finds nothing wrong with what is supported', () => {
  expect(schemaProblems(orderSchema)).toEqual([])
  expect(
    schemaProblems(
      object(
        {
          a: { $ref: '#/$defs/a', description: 'beside a $ref' },
          b: { anyOf: [text, { type: 'null' }] },
          kind: { enum: ['x', 'y'] },
          free: { type: 'object' },
          map: { type: 'object', additionalProperties: { type: 'integer' } },
        },
        {
          $schema: 'https://json-schema.org/draft/2020-12/schema',
          $defs: { a: { type: 'array', items: text } },
          oneOf: [{ required: ['a'] }, { required: ['b'], properties: { kind: { const: 'y' } } }],
          dependentRequired: { a: ['kind'] },
          unevaluatedProperties: true,
        },
      ),
    ),
  ).toEqual([])
})

it.each([
  ['no object', [], '#', /must be an object/],
  [
    'a misspelt type',
    object({ a: { type: 'strin' } }),
    '#/properties/a/type',
    /must be one of array, boolean, integer/,
  ],
  ['one that holds itself', holdingItself(), '#', /holds itself/],
  [
    'more fields than can be compiled',
    object(Object.fromEntries(Array.from({ length: 1_001 }, (_, n) => [`f${n}`, text]))),
    '#/properties',
    /has 1001 fields/,
  ],
  ['another dialect', { $schema: 'http://json-schema.org/draft-07/schema#' }, '#/$schema', /only .*2020-12/],
  ['a value that is no object', { type: 'array' }, '#', /"type": "object"/],
  ['an unknown keyword', object({ a: { ...text, lenght: 5 } }), '#/properties/a/lenght', /is not supported/],
  ['tuples', object({ a: { type: 'array', prefixItems: [text] } }), '#/properties/a/prefixItems', /write "items"/],
  ['nullable of OpenAPI', object({ a: { ...text, nullable: true } }), '#/properties/a/nullable', /"null"/],
  ['fields by pattern', object({}, { patternProperties: { x: text } }), '#/patternProperties', /additionalProperties/],
  ['a broken pattern', object({ a: { ...text, pattern: '(' } }), '#/properties/a/pattern', /regular expression/],
  ['an unknown format', object({ a: { ...text, format: 'iban' } }), '#/properties/a/format', /is not known/],
  ['a $ref to nowhere', object({ a: { $ref: '#/$defs/a' } }), '#/properties/a', /leads nowhere/],
  ['a $ref out of the document', object({ a: { $ref: 'https://x.org/a' } }), '#/properties/a', /out of the document/],
  ['a $ref in a circle', object({ a: { $ref: '#' } }), '#/properties/a/properties/a', /in a circle/],
  [
    'two rules of one name',
    object({ a: { $ref: '#/$defs/a', minLength: 1 } }, { $defs: { a: { ...text, minLength: 2 } } }),
    '#/properties/a/minLength',
    /beside a \$ref/,
  ],
  [
    '__proto__',
    JSON.parse('{"type":"object","properties":{"__proto__":{}}}'),
    '#/properties/__proto__',
    /cannot be the name of a field/,
  ],
  ['a name with a backslash', object({ 'a\\b': text }), '#/properties/a\\b', /backslash/],
  ['a required field without a place', object({ a: text }, { required: ['b'] }), '#/required', /would be dropped/],
  ['fields without a type', object({ a: { properties: { b: text } } }), '#/properties/a', /add "type": "object"/],
  [
    'a field of a branch alone',
    object({ a: text }, { anyOf: [{ properties: { b: text } }] }),
    '#/anyOf/0/properties/b',
    /else it is dropped/,
  ],
  [
    'a wrong value of a keyword',
    object({ a: { ...text, minLength: 'x' } }),
    '#/properties/a/minLength',
    /must be integer/,
  ],
])('names the place of %s, and what to do', (_, schema, at, message) => {
  const problems = schemaProblems(schema as JsonSchema)
  expect(problems[0]).toMatchObject({ at, message: expect.stringMatching(message) })
})
