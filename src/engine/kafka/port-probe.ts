import { readFile } from 'node:fs/promises'
import { connect as connectPlain, isIP, type Socket } from 'node:net'
import { connect as connectTls, getCACertificates, type TLSSocket } from 'node:tls'

/**
 * Probes a broker's port for its protocol, where librdkafka only reports that a certificate "could not be verified" or that the
 * connection was closed. Sends no user name, password or certificate. Each question ends within {@link TIMEOUT_MS}.
 */
const TIMEOUT_MS = 1_500

export interface Place {
  readonly host: string
  readonly port: number
}

/** @returns what is wrong with the certificate that the port shows, in words; `undefined` when that cannot be found out */
export async function certificateFault(at: Place, caFile: string | undefined): Promise<string | undefined> {
  const ca = await authorities(caFile)
  return await overTls(at, ca, socket => {
    const { valid_from: from, valid_to: to, subjectaltname: names, issuer } = socket.getPeerCertificate()
    const fault = String(socket.authorizationError ?? '')
    if (fault === 'CERT_HAS_EXPIRED') return `its certificate expired on ${to}`
    if (fault === 'CERT_NOT_YET_VALID') return `its certificate is valid only from ${from} on`
    if (fault === 'ERR_TLS_CERT_ALTNAME_INVALID') {
      return `its certificate is for another host name: it names ${names ?? 'none'}, and we connect to ${at.host}`
    }
    if (fault === '') return undefined
    const from_ = issuer?.CN === undefined ? '' : ` ("${issuer.CN}")`
    return `its certificate was signed by an authority${from_} that is not among those we trust`
  })
}

/** Whether the port answers a TLS handshake, whatever its certificate. */
export async function speaksTls(at: Place): Promise<boolean> {
  return (await overTls(at, undefined, () => true)) ?? false
}

/**
 * @returns the SASL mechanisms of the port; none when it takes no SASL; `undefined` when that cannot be found out
 */
export async function saslMechanisms(at: Place, tls: boolean): Promise<readonly string[] | undefined> {
  if (tls) return await overTls(at, undefined, askForMechanisms)
  return await overSocket(connectPlain(at.port, at.host), 'connect', askForMechanisms)
}

function overTls<R>(
  at: Place,
  ca: string[] | undefined,
  ask: (socket: TLSSocket) => R,
): Promise<Awaited<R> | undefined> {
  // It is only looked at: nothing is sent over a connection whose certificate is not checked but our question.
  const name = isIP(at.host) === 0 ? { servername: at.host } : {}
  const trusted = ca === undefined ? {} : { ca }
  return overSocket(connectTls({ ...at, ...name, ...trusted, rejectUnauthorized: false }), 'secureConnect', ask)
}

async function overSocket<S extends Socket, R>(
  socket: S,
  ready: string,
  ask: (socket: S) => R,
): Promise<Awaited<R> | undefined> {
  const failed = new Promise<undefined>(resolve => {
    socket.setTimeout(TIMEOUT_MS, () => resolve(undefined))
    socket.on('error', () => resolve(undefined))
    socket.on('close', () => resolve(undefined))
  })
  const opened = new Promise<true>(resolve => socket.once(ready, () => resolve(true)))
  try {
    if ((await Promise.race([opened, failed])) === undefined) return undefined
    return await Promise.race([Promise.resolve(ask(socket)), failed])
  } finally {
    socket.destroy()
  }
}

/** SaslHandshake v1 of Kafka's protocol, for a mechanism that no broker has: the answer lists those that it has. */
function askForMechanisms(socket: Socket): Promise<readonly string[]> {
  const mechanism = Buffer.from('NONE')
  const request = Buffer.alloc(4 + 2 + 2 + 4 + 2 + 2 + mechanism.length)
  request.writeInt32BE(request.length - 4, 0) // size of what follows
  request.writeInt16BE(17, 4) // api key: SaslHandshake
  request.writeInt16BE(1, 6) // api version
  request.writeInt32BE(1, 8) // correlation id
  request.writeInt16BE(-1, 12) // client id: null
  request.writeInt16BE(mechanism.length, 14)
  mechanism.copy(request, 16)
  return new Promise(resolve => {
    let answer = Buffer.alloc(0)
    socket.on('data', chunk => {
      answer = Buffer.concat([answer, chunk])
      if (answer.length < 4 || answer.length < 4 + answer.readInt32BE(0)) return
      resolve(mechanismsIn(answer))
    })
    socket.write(request)
  })
}

function mechanismsIn(answer: Buffer): string[] {
  const mechanisms: string[] = []
  let at = 4 + 4 + 2 // size, correlation id, error code
  for (let left = answer.readInt32BE(at), from = at + 4; left > 0; left--) {
    const length = answer.readInt16BE(from)
    mechanisms.push(answer.toString('utf8', from + 2, from + 2 + length))
    from += 2 + length
    at = from
  }
  return mechanisms
}

/** As librdkafka has them: those of the file, or else those of the system. */
async function authorities(caFile: string | undefined): Promise<string[] | undefined> {
  try {
    return caFile === undefined ? getCACertificates('system') : [await readFile(caFile, 'utf8')]
  } catch {
    return undefined
  }
}
