import { UsageError } from '../engine/errors.ts'
import { testNotice } from '../notify/notice.ts'
import { createSend, SendFailed } from '../notify/send.ts'
import { loadConfig } from '../settings/config.ts'
import { CommandFailed } from './failure.ts'
import { print } from './output.ts'

/** Sends a test message, at once and not by the outbox: whether it arrives is what is asked. */
export async function notify({ json }: { readonly json?: boolean }): Promise<void> {
  const { notify, http } = loadConfig(process.env)
  const { url, format, consoleUrl } = notify
  if (url === undefined)
    throw new UsageError(
      'NOTIFY_WEBHOOK_URL is not set, so no messages are sent; set it to the address of the receiver',
    )
  const console = consoleUrl ?? (http.port === 0 ? undefined : `http://${http.host}:${http.port}`)
  const send = createSend({ url: () => url, format, consoleUrl: () => console })
  try {
    await send(testNotice(Date.now()))
  } catch (error) {
    if (!(error instanceof SendFailed)) throw error
    throw new CommandFailed(`NOTIFY_WEBHOOK_URL did not take the message: ${error.message}`)
  }
  print(json ? JSON.stringify({ sent: true, format }) : `sent, in the format ${format}`)
}
