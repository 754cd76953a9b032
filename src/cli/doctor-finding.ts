import { StreamError } from '../engine/errors.ts'

/** What one check found. */
export interface Finding {
  /** What was checked. */
  readonly name: string
  readonly ok: boolean
  readonly detail: string
  /** What to do about it; where `ok` is true, what may be done. */
  readonly fix?: string
}

/** The remedy that the error names. */
export function remedyOf(error: unknown): string | undefined {
  return error instanceof StreamError ? error.remedy : undefined
}

export function messageOf(error: unknown): string {
  if (!(error instanceof StreamError)) return error instanceof Error ? error.message : String(error)
  const { cause, what } = error
  return cause instanceof Error && cause.message !== '' && !error.message.includes(cause.message)
    ? `${what} (${cause.message})`
    : what
}
