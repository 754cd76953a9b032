import { type CopyFacts, compileCopy } from './known.ts'
import type { ObjectShape } from './shape.ts'

/**
 * Compiles canonical JSON, the bytes that are cached and served: known fields only, in the order of the schema. A value from the validator,
 * and the same value read back from the tables, give the same bytes.
 * @returns a function of a value whose instants are canonical; a field that is `undefined` counts as absent
 */
export function createJson<T>(shape: ObjectShape): (value: T) => Buffer {
  const copy = compileCopy<T>(shape, { canonical: false })
  const facts: CopyFacts = { unknownFields: false, precisionLost: false }
  return value => Buffer.from(JSON.stringify(copy(value, facts)))
}
