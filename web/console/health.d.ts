export function healthOf(
  stream: object | undefined,
  nowMs?: number,
): { readonly level: 'good' | 'fair' | 'bad' | 'unknown'; readonly words: string }

export function needsOperator(partition: {
  readonly paused?: readonly string[]
  readonly halted?: string | null
}): boolean
