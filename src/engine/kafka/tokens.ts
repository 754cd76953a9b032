import { BrokerUnavailableError } from '../errors.ts'
import { quoted } from '../secret-text.ts'

/** A token of OAUTHBEARER. */
export interface Token {
  readonly value: string
  /** Wall clock in ms. */
  readonly expiresAtMs: number
  /** Whose it is, as far as it can be read. */
  readonly principal: string
  /** SASL extensions, by name. */
  readonly extensions: Readonly<Record<string, string>>
}

/** Where tokens come from. All clients of the process share one, so that each token is asked for once. */
export interface TokenSource {
  /**
   * A token that is valid for some time yet.
   * @returns with `trouble` where it should have been renewed, and could not be
   * @throws BrokerUnavailableError where there is none; `isMistake` when another attempt would not help
   */
  get(): Promise<{ readonly token: Token; readonly trouble?: Error }>
}

/** A token is renewed when so much of its life is over, as librdkafka does. */
const RENEW_AFTER = 0.8
/** Less than this is left: a broker may find it expired by the time that it arrives. */
const MARGIN_MS = 1_000
/** After a failure, in ms: several clients ask at the same time. */
const PAUSE_MS = 1_000
/** For an answer with a token, in ms. */
export const TIMEOUT_MS = 10_000
const MAX_BYTES = 256 * 1024

/** @param fetch gets a new one; its failures say what to do */
export function createTokenSource(fetch: () => Promise<Token>, now: () => number = Date.now): TokenSource {
  let current: { readonly token: Token; readonly renewAtMs: number } | undefined
  let pending: Promise<Token> | undefined
  let failed: { readonly error: Error; readonly atMs: number } | undefined

  async function renew(): Promise<Token> {
    if (failed !== undefined && now() - failed.atMs < PAUSE_MS) throw failed.error
    try {
      const token = await fetch()
      const lifeMs = token.expiresAtMs - now()
      if (lifeMs <= MARGIN_MS)
        throw noToken('the token has expired already', 'compare the clocks of this machine and of its issuer')
      current = { token, renewAtMs: now() + lifeMs * RENEW_AFTER }
      failed = undefined
      return token
    } catch (error) {
      failed = { error: error as Error, atMs: now() }
      throw error
    }
  }

  return {
    async get() {
      if (current !== undefined && now() < current.renewAtMs) return { token: current.token }
      pending ??= renew().finally(() => (pending = undefined))
      try {
        return { token: await pending }
      } catch (error) {
        if (current === undefined || current.token.expiresAtMs - now() <= MARGIN_MS) throw error
        return { token: current.token, trouble: error as Error }
      }
    },
  }
}

export function noToken(what: string, remedy: string, isMistake = false, cause?: unknown): BrokerUnavailableError {
  return new BrokerUnavailableError(`Kafka, getting a token: ${what}`, { remedy, isMistake, cause })
}

export interface OidcOptions {
  /** Token endpoint. */
  readonly url: string
  /** Asked before each request: a secret may have been exchanged. */
  readonly client: () => { readonly id: string; readonly secret: string }
  readonly scope: string | undefined
  readonly extensions: Readonly<Record<string, string>>
  /** What of the provider's words must not be quoted. */
  readonly secrets?: () => readonly string[]
}

const ENDPOINT_REMEDY = 'check KAFKA_SASL_OAUTH_TOKEN_URL, and that the identity provider can be reached from here'

/**
 * Tokens for client credentials (RFC 6749, section 4.4). Not those of librdkafka's own `method=oidc`: a build without libcurl has none,
 * and it reads the secret of the client once, when it starts.
 */
export function oidcTokens({ url, client, scope, extensions, secrets = () => [] }: OidcOptions): TokenSource {
  return createTokenSource(async () => {
    const { id, secret } = client()
    const login = Buffer.from(`${formEncoded(id)}:${formEncoded(secret)}`).toString('base64')
    const form = new URLSearchParams({ grant_type: 'client_credentials', ...(scope === undefined ? {} : { scope }) })
    let status: number
    let text: string
    try {
      const response = await fetch(url, {
        method: 'POST',
        body: form,
        headers: { Authorization: `Basic ${login}`, Accept: 'application/json' },
        // The secret is for this address alone.
        redirect: 'manual',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      })
      status = response.status
      text = (await response.text()).slice(0, MAX_BYTES)
    } catch (error) {
      throw unreachable(error, url)
    }
    const answer = objectOf(text)
    if (status === 200 && answer !== undefined) {
      const token = tokenOf(answer)
      if (typeof token !== 'string') return { ...token, principal: token.principal ?? id, extensions }
      throw noToken(`${originOf(url)} answered without a token that can be used: ${token}`, ENDPOINT_REMEDY)
    }
    // 401 and invalid_client, invalid_scope … (RFC 6749, section 5.2): the description is for people.
    const said = [answer?.error, answer?.error_description].filter(part => typeof part === 'string').join(': ')
    const what = `${originOf(url)} answered ${status}${said === '' ? '' : ` (${quoted(said, [secret, ...secrets()])})`}`
    const refused = status >= 400 && status < 500 && status !== 408 && status !== 429
    if (!refused) throw noToken(what, ENDPOINT_REMEDY)
    const remedy =
      status === 404
        ? 'correct KAFKA_SASL_OAUTH_TOKEN_URL'
        : 'check KAFKA_SASL_OAUTH_CLIENT_ID, KAFKA_SASL_OAUTH_CLIENT_SECRET and KAFKA_SASL_OAUTH_SCOPE'
    throw noToken(what, remedy, true)
  })
}

/** As RFC 6749, section 2.3.1, and with it Spring and Keycloak: what has only letters and digits is the same either way. */
function formEncoded(text: string): string {
  return new URLSearchParams({ '': text }).toString().slice(1)
}

function unreachable(error: unknown, url: string): BrokerUnavailableError {
  const cause = error instanceof Error ? (error.cause ?? error) : error
  const { code, name } = cause as { readonly code?: string; readonly name?: string }
  if (name === 'TimeoutError' || (error instanceof Error && error.name === 'TimeoutError')) {
    return noToken(`${originOf(url)} gave no answer within ${TIMEOUT_MS / 1000} s`, ENDPOINT_REMEDY)
  }
  const why = code ?? name ?? 'unknown'
  if (/CERT|SELF_SIGNED|UNABLE_TO_(VERIFY|GET)/.test(why)) {
    const remedy = 'NODE_EXTRA_CA_CERTS must name a PEM file with the authority that signed it'
    return noToken(`the certificate of ${originOf(url)} is not trusted (${why})`, remedy, true)
  }
  return noToken(`${originOf(url)} cannot be reached (${why})`, ENDPOINT_REMEDY)
}

type Read = Pick<Token, 'value' | 'expiresAtMs'> & { readonly principal: string | undefined }

/** @returns the token, or what is missing, in a clause that quotes nothing of it */
export function tokenOf(answer: Readonly<Record<string, unknown>>, nowMs = Date.now()): Read | string {
  const value = answer.access_token ?? answer.token
  if (typeof value !== 'string' || value === '') return 'there is no access_token in it'
  if (!/^[A-Za-z0-9\-._~+/]+=*$/.test(value)) return 'the token has characters that none may have (RFC 6750)'
  const claims = objectOf(Buffer.from(value.split('.')[1] ?? '', 'base64url').toString()) ?? {}
  const expiresAtMs = expiryOf(answer, nowMs) ?? (typeof claims.exp === 'number' ? claims.exp * 1000 : undefined)
  if (expiresAtMs === undefined) return 'it does not say when the token expires (expires_in, in seconds)'
  return { value, expiresAtMs, principal: typeof claims.sub === 'string' ? claims.sub : undefined }
}

/** A count of seconds with more digits than this is one of milliseconds. */
const SECONDS_MAX = 100_000_000_000

/** `expires_in` counts from now; `expires_at` and `expiryTime` (as the signers of AWS call it) are moments: text, s or ms since 1970. */
function expiryOf(answer: Readonly<Record<string, unknown>>, nowMs: number): number | undefined {
  const seconds = Number(answer.expires_in)
  if (answer.expires_in !== undefined && Number.isFinite(seconds)) return nowMs + seconds * 1000
  const moment = answer.expires_at ?? answer.expiryTime
  const ms = typeof moment === 'string' && !/^\d+$/.test(moment) ? Date.parse(moment) : Number(moment ?? Number.NaN)
  if (!Number.isFinite(ms)) return undefined
  return ms < SECONDS_MAX ? ms * 1000 : ms
}

export function objectOf(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const parsed: unknown = JSON.parse(text)
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? { ...parsed } : undefined
  } catch {
    return undefined
  }
}

/** Without its path and query, which may be a secret. */
function originOf(url: string): string {
  return URL.parse(url)?.origin ?? 'the identity provider'
}
