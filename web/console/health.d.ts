export function healthOf(
  stream: object | undefined,
  nowMs?: number,
  heardSeconds?: number,
): {
  readonly level: 'good' | 'fair' | 'bad' | 'unknown'
  readonly words: readonly string[]
  readonly also: readonly string[]
}

export function silenceOf(stream: object | undefined): number

export function agoOf(seconds: number | null | undefined): string | undefined

export function needsOperator(partition: {
  readonly paused?: readonly string[]
  readonly halted?: string | null
}): boolean
