import type { ErrorObject } from 'ajv'
import { NOT_STORABLE, TEXT_PATTERN } from './text.ts'

/** Longer texts of a schema (a pattern, the values of an enum) are cut in messages. */
const MAX_QUOTE = 200

const TYPES: Readonly<Record<string, string>> = {
  object: 'an object',
  array: 'an array',
  string: 'text',
  integer: 'an integer',
  number: 'a number',
  boolean: 'true or false',
  null: 'null',
}

const FORMATS: Readonly<Record<string, string>> = {
  'date-time': 'a date and time with a zone (RFC 3339), between 1970 and 9999',
  date: 'a date (YYYY-MM-DD)',
  time: 'a time with a zone (RFC 3339)',
  email: 'an email address',
  uuid: 'a UUID',
  uri: 'a URI',
}

export const NOT_NAMED = 'must not have fields that the schema does not name'

/** The message for a violation of a schema keyword. It quotes the schema, never the data. */
export function messageOf({ keyword, params, message }: ErrorObject): string {
  switch (keyword) {
    case 'type':
      return `must be ${[params.type]
        .flat()
        .map(type => TYPES[type] ?? type)
        .join(' or ')}`
    case 'required':
    case 'dependentRequired':
      return 'is missing'
    case 'minItems':
    case 'maxItems':
      return `must have ${bound(keyword, params.limit, 'item')}`
    case 'minLength':
    case 'maxLength':
      return `must have ${bound(keyword, params.limit, 'character')}`
    case 'minProperties':
    case 'maxProperties':
      return `must have ${bound(keyword, params.limit, 'field')}`
    case 'minimum':
      return `must be at least ${params.limit}`
    case 'maximum':
      return `must be at most ${params.limit}`
    case 'exclusiveMinimum':
      return `must be greater than ${params.limit}`
    case 'exclusiveMaximum':
      return `must be less than ${params.limit}`
    case 'multipleOf':
      return `must be a multiple of ${params.multipleOf}`
    case 'pattern':
      return params.pattern === TEXT_PATTERN ? NOT_STORABLE : `must match the pattern ${quote(params.pattern)}`
    case 'format':
      return `must be ${FORMATS[params.format] ?? `of the format ${params.format}`}`
    case 'enum':
      return `must be one of ${quote(params.allowedValues.map((value: unknown) => JSON.stringify(value)).join(', '))}`
    case 'const':
      return `must be ${quote(JSON.stringify(params.allowedValue))}`
    case 'uniqueItems':
      return 'must not hold the same item twice'
    case 'additionalProperties':
    case 'unevaluatedProperties':
      return NOT_NAMED
    case 'propertyNames':
      return 'must not have a field with such a name'
    case 'false schema':
      return 'must be absent'
    case 'anyOf':
      return 'must fit at least one of the alternatives of the schema (anyOf)'
    case 'oneOf':
      return 'must fit exactly one of the alternatives of the schema (oneOf)'
    case 'not':
      return 'must not be what the schema excludes (not)'
    case 'contains':
      return `must have ${bound('minItems', params.minContains, 'item')} that the schema asks for (contains)`
    default:
      return message ?? `breaks the rule ${keyword}`
  }
}

function bound(keyword: string, limit: number, noun: string): string {
  return `at ${keyword.startsWith('min') ? 'least' : 'most'} ${limit} ${noun}${limit === 1 ? '' : 's'}`
}

function quote(text: string): string {
  return text.length <= MAX_QUOTE ? text : `${text.slice(0, MAX_QUOTE)}…`
}
