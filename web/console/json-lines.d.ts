export interface Token {
  readonly kind: 'key' | 'string' | 'number' | 'word' | 'sign'
  readonly text: string
}

export interface Line {
  readonly depth: number
  readonly tokens: readonly Token[]
}

export interface Place {
  readonly at: number
  readonly line: number
  readonly token: number
}

export function jsonLines(text: string): {
  readonly lines: readonly Line[]
  readonly places: ReadonlyMap<string, Place>
  readonly stop: number | undefined
}

export function placeOf(
  places: ReadonlyMap<string, Place>,
  pointer: string,
): Place & { readonly missing: string | undefined }

export function textOf(lines: readonly Line[]): string
