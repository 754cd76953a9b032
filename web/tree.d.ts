export interface Branch {
  readonly tag: string
  readonly attributes: Readonly<Record<string, string>>
  readonly children: readonly Child[]
}

/** Text stays text, whatever it holds. A function makes the child when its turn comes. */
export type Child = Branch | string | (() => Child)

export function h(
  tag: string,
  attributes?: Readonly<Record<string, string>>,
  ...children: (Child | undefined)[]
): Branch
