import { messageOf, type NotifyFormat } from './message.ts'
import type { DueNotice } from './notice.ts'

/** Sends one message. @throws SendFailed */
export type Send = (notice: DueNotice, stop?: AbortSignal) => Promise<void>

/** Why the receiver did not take a message, in a clause. Without its address, which is a secret. */
export class SendFailed extends Error {
  override readonly name = 'SendFailed'
}

/** The receiver is on the way of nothing: one that says nothing is given up, and tried again later. */
const TIMEOUT_MS = 5_000

/**
 * @param url http or https, without a user; asked for each message
 * @param consoleUrl where the console is; asked for each message, because the port of this process may be known only later
 */
export function createSend(options: {
  readonly url: () => string
  readonly format: NotifyFormat
  readonly consoleUrl: () => string | undefined
  readonly timeoutMs?: number
}): Send {
  const { url, format, consoleUrl, timeoutMs = TIMEOUT_MS } = options
  return async (notice, stop) => {
    const base = consoleUrl()?.replace(/\/+$/, '')
    const body = JSON.stringify(messageOf(format, notice, base === undefined ? undefined : base + notice.path))
    const timeout = AbortSignal.timeout(timeoutMs)
    let response: Response
    try {
      response = await fetch(url(), {
        method: 'POST',
        body,
        headers: { 'Content-Type': 'application/json', 'User-Agent': 'holdfast' },
        // The secret in the address is for this receiver alone.
        redirect: 'manual',
        signal: stop === undefined ? timeout : AbortSignal.any([timeout, stop]),
      })
    } catch (error) {
      throw new SendFailed(timeout.aborted ? `no answer within ${timeoutMs / 1_000} s` : reasonOf(error))
    }
    // What it answers is of no interest, and may be long.
    await response.body?.cancel().catch(() => {})
    if (response.ok) return
    const redirects = response.status >= 300 && response.status < 400
    throw new SendFailed(
      redirects
        ? `it answered ${response.status}, a redirect, which is not followed`
        : `it answered ${response.status}`,
    )
  }
}

/** The code of the cause, as ECONNREFUSED: its text may hold the address. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? String(cause.code) : undefined
  return code ?? (error instanceof Error ? error.name : 'unknown')
}
