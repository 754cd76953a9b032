export const USUAL: string
export function quoted(value: string): string
export function term(field: string, ...values: readonly string[]): string
export function termsOf(filter: string): string[]
export function withTerms(filter: string, field: string, ...terms: readonly string[]): string
export function filterOfGroup(
  filter: string,
  group: { readonly reason: string; readonly error: string; readonly pointer: string },
): string
export function stateOf(filter: string): string | undefined
