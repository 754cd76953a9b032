export interface DiffLine {
  readonly kind: '-' | '+' | ' ' | '…'
  readonly text: string
}

export function lineDiff(before: string, after: string, around?: number): DiffLine[]
