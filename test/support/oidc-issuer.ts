/** An identity provider as far as Kafka and its clients need one: tokens for client credentials, and the key that they are signed with. */
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface OidcIssuer extends AsyncDisposable {
  /** Also the claim `iss`. */
  readonly url: string
  readonly tokenUrl: string
  readonly jwksUrl: string
  readonly audience: string
  readonly clientId: string
  /** What a client has to present; another one is refused from then on. */
  clientSecret: string
  /** Of tokens that are given out from then on. */
  lifeSeconds: number
  /** An answer with this status instead of a token; `undefined`: it works. */
  broken: number | undefined
  /** Tokens given out, and requests refused. */
  readonly issued: number
  readonly refused: number
  /** A token without asking for it. */
  issue(subject?: string): string
}

/** Tokens live 30 s. */
export async function startOidcIssuer(): Promise<OidcIssuer> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const kid = randomUUID()
  const jwks = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' }] }
  const server = createServer((req, res) => void answer(req, res))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  server.unref()
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  let issued = 0
  let refused = 0

  async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const body = Buffer.concat(await Array.fromAsync(req as AsyncIterable<Buffer>)).toString()
    const send = (status: number, content: object) =>
      void res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(content))
    if (req.url === '/jwks') return send(200, jwks)
    if (req.url !== '/token') return send(404, {})
    if (issuer.broken !== undefined) return send(issuer.broken, {})
    const [, login = ''] = /^Basic (.*)$/.exec(req.headers.authorization ?? '') ?? []
    const isClient = Buffer.from(login, 'base64').toString() === `${issuer.clientId}:${issuer.clientSecret}`
    if (!isClient || new URLSearchParams(body).get('grant_type') !== 'client_credentials') {
      refused += 1
      return send(401, { error: 'invalid_client', error_description: 'unknown client or secret' })
    }
    issued += 1
    return send(200, { access_token: issuer.issue(), token_type: 'Bearer', expires_in: issuer.lifeSeconds })
  }

  const issuer: OidcIssuer = {
    url,
    tokenUrl: `${url}/token`,
    jwksUrl: `${url}/jwks`,
    audience: 'kafka',
    clientId: 'holdfast-service',
    clientSecret: 'first-secret',
    lifeSeconds: 30,
    broken: undefined,
    get issued() {
      return issued
    },
    get refused() {
      return refused
    },
    issue(subject = issuer.clientId) {
      const now = Math.floor(Date.now() / 1000)
      const claims = {
        iss: url,
        aud: issuer.audience,
        sub: subject,
        scope: 'kafka',
        iat: now,
        exp: now + issuer.lifeSeconds,
      }
      const part = (content: object) => Buffer.from(JSON.stringify(content)).toString('base64url')
      const signed = `${part({ alg: 'RS256', typ: 'JWT', kid })}.${part({ ...claims, jti: randomUUID() })}`
      return `${signed}.${sign('sha256', Buffer.from(signed), privateKey).toString('base64url')}`
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return issuer
}
