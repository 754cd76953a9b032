export interface Branch {
  readonly tag: string
  readonly attributes: Readonly<Record<string, string>>
  readonly children: readonly Child[]
}

/** Text stays text, whatever it holds. */
export type Child = Branch | string

export function h(
  tag: string,
  attributes?: Readonly<Record<string, string>>,
  ...children: (Child | undefined)[]
): Branch
