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

type Fault = readonly [what: string, find: string, replace: string, over?: Pick<Mutation, 'survives'>]

/** Faults of one file that the same tests should notice. */
export function faultsOf(file: string, tests: readonly string[], faults: readonly Fault[]): Mutation[] {
  return faults.map(([what, find, replace, over]) => ({ file: `src/${file}.ts`, what, find, replace, tests, ...over }))
}

/** Test files by their path below `test/`, without their ending. */
export function unit(...names: readonly string[]): string[] {
  return names.map(name => `test/unit/${name}.test.ts`)
}

export function contract(...names: readonly string[]): string[] {
  return names.map(name => `test/contract/${name}.test.ts`)
}
