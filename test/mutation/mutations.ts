/** A fault that is planted: `find` stands exactly once in the file. */
export interface Mutation {
  readonly file: string
  /** The fault, in a clause. */
  readonly what: string
  readonly find: string
  readonly replace: string
  /** Test files that should notice it, the quickest first. */
  readonly tests: readonly string[]
  /** Why no test can notice it, where that is so. */
  readonly survives?: string
}

export const MUTATIONS: readonly Mutation[] = []
