export function shellQuoted(word: string): string
export function dlqLine(
  command: string,
  filter?: string,
  ...flags: readonly (string | number | false | undefined)[]
): string
