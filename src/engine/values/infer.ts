import type { StreamDefinition } from '../definition.ts'
import { inferSchema } from './infer-schema.ts'
import { proposeDefinition } from './propose.ts'

export { InferenceError, inferSchema } from './infer-schema.ts'

/** What was made of samples, for `holdfast stream init`. */
export interface Inferred {
  /** A complete definition, its schema included; contains no functions, so that it can be written as a module. */
  readonly definition: StreamDefinition
  /** Full sentences about what the samples do not prove, for the person who reads the result. */
  readonly assumptions: readonly string[]
}

/**
 * Infers a stream from sample values: a schema that accepts each of them, and a definition with key, tables, order and personal places.
 * Pure: the same samples give the same result.
 * @param name the stream's name, from which the tables take theirs
 * @param samples parsed JSON; each sample is one value
 * @throws InferenceError when there are no samples, a sample is no object, or no field can be the key
 */
export function inferStream(name: string, samples: readonly unknown[]): Inferred {
  const { schema, assumptions } = inferSchema(samples)
  const proposal = proposeDefinition(name, schema, samples)
  return { definition: proposal.definition, assumptions: [...assumptions, ...proposal.assumptions] }
}
