import { connect as connectPlain, isIP } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Config } from '../settings/config.ts'
import type { Finding } from './doctor-finding.ts'

const TIMEOUT_MS = 5_000

/** Whether the receiver of messages can be reached: a connection, and over https its certificate. Sends nothing. */
export async function* notifyFindings({ notify: { url, format } }: Pick<Config, 'notify'>): AsyncGenerator<Finding> {
  if (url === undefined) return
  const { protocol, hostname, port } = new URL(url)
  const host = hostname.replace(/^\[(.*)\]$/, '$1')
  const tls = protocol === 'https:'
  const at = { host, port: Number(port || (tls ? 443 : 80)) }
  const fault = await faultOf(at, tls)
  if (fault === undefined) {
    yield { name: 'notify', ok: true, detail: `${host}:${at.port} is reached (format ${format}); nothing was sent` }
    return
  }
  yield {
    name: 'notify',
    ok: false,
    detail: `${host}:${at.port} cannot be reached (${fault})`,
    fix: 'correct NOTIFY_WEBHOOK_URL, or let this machine reach it; "holdfast notify --test" sends a message',
  }
}

async function faultOf(
  at: { readonly host: string; readonly port: number },
  tls: boolean,
): Promise<string | undefined> {
  const name = isIP(at.host) === 0 ? { servername: at.host } : {}
  const socket = tls ? connectTls({ ...at, ...name }) : connectPlain(at)
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  socket.once(tls ? 'secureConnect' : 'connect', () => resolve(undefined))
  socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
  socket.setTimeout(TIMEOUT_MS, () => resolve(`no answer within ${TIMEOUT_MS / 1_000} s`))
  try {
    return await promise
  } finally {
    socket.destroy()
  }
}
