import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { BrokerUnavailableError } from '#src/engine/errors.ts'
import { createTokenSource, oidcTokens, type Token, tokenOf } from '#src/engine/kafka/tokens.ts'
import { failureOf, jwt } from '../../../support/tokens.ts'

const tokenFor = (value: string, expiresAtMs: number): Token => ({ value, expiresAtMs, principal: 'p', extensions: {} })

describe('a source of tokens', () => {
  let nowMs = 0
  const now = () => nowMs
  afterEach(() => {
    nowMs = 0
  })

  it('asks once for all who want one, and again at 80 % of its life', async () => {
    const fetch = vi.fn(async () => tokenFor(`t${nowMs}`, nowMs + 30_000))
    const source = createTokenSource(fetch, now)
    const both = await Promise.all([source.get(), source.get()])
    expect(both.map(({ token }) => token.value)).toEqual(['t0', 't0'])
    nowMs = 23_999
    expect((await source.get()).token.value).toBe('t0')
    nowMs = 24_000
    expect((await source.get()).token.value).toBe('t24000')
    expect(fetch).toHaveBeenCalledTimes(2)
  })

  it('goes on with the one in use while it lives, says why, and does not ask in a hurry', async () => {
    let broken = false
    const fetch = vi.fn(async () => {
      if (broken) throw new BrokerUnavailableError('away')
      return tokenFor(`t${nowMs}`, nowMs + 30_000)
    })
    const source = createTokenSource(fetch, now)
    await source.get()
    broken = true
    nowMs = 25_000
    expect(await source.get()).toMatchObject({ token: { value: 't0' }, trouble: { message: 'away' } })
    nowMs = 25_500
    await source.get()
    expect(fetch).toHaveBeenCalledTimes(2)
    nowMs = 29_500
    expect((await failureOf(source.get())).message).toBe('away')
    broken = false
    nowMs = 31_000
    expect(await source.get()).toEqual({ token: tokenFor('t31000', 61_000) })
  })

  it('has no use for one that has expired', async () => {
    const source = createTokenSource(async () => tokenFor('t', 500), now)
    expect((await failureOf(source.get())).message).toMatch(/has expired already; compare the clocks/)
  })
})

describe('what a token is read from', () => {
  const nowMs = 1_000_000_000_000
  it.each<[string, Record<string, unknown>, object | string]>([
    ['expires_in', { access_token: 'abc', expires_in: 60 }, { value: 'abc', expiresAtMs: nowMs + 60_000 }],
    ['expires_in as text', { access_token: 'abc', expires_in: '60' }, { expiresAtMs: nowMs + 60_000 }],
    ['a moment in ms', { token: 'abc', expiryTime: nowMs + 5_000 }, { expiresAtMs: nowMs + 5_000 }],
    ['a moment in s', { token: 'abc', expires_at: nowMs / 1000 + 5 }, { expiresAtMs: nowMs + 5_000 }],
    ['a moment as text', { token: 'abc', expires_at: '2001-09-09T01:46:45Z' }, { expiresAtMs: nowMs + 5_000 }],
    [
      'its claims',
      { token: jwt({ exp: nowMs / 1000 + 9, sub: 'app' }) },
      { principal: 'app', expiresAtMs: nowMs + 9_000 },
    ],
    ['no token', { expires_in: 60 }, 'there is no access_token in it'],
    ['no end', { token: 'abc' }, 'it does not say when the token expires (expires_in, in seconds)'],
    ['a line break in it', { token: 'a\nb', expires_in: 1 }, 'the token has characters that none may have (RFC 6750)'],
  ])('%s', (_, answer, expected) => {
    if (typeof expected === 'string') expect(tokenOf(answer, nowMs)).toBe(expected)
    else expect(tokenOf(answer, nowMs)).toMatchObject(expected)
  })
})

describe('an identity provider', () => {
  async function answering(listener: RequestListener) {
    const server = createServer(listener).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/oauth2/token?key=hidden`
    return { url, [Symbol.dispose]: () => void server.close() }
  }
  const from = (url: string, secret = 's3cret/+ =') =>
    oidcTokens({ url, client: () => ({ id: 'a:b', secret }), scope: 'kafka all', extensions: { pool: 'p1' } })

  it('is asked for client credentials, and its token taken with the extensions', async () => {
    const seen: unknown[] = []
    using server = await answering(async (req, res) => {
      const body = Buffer.concat(await Array.fromAsync(req)).toString()
      seen.push([req.method, req.headers.authorization, req.headers['content-type'], body])
      res.end(JSON.stringify({ access_token: jwt({ sub: 'svc' }), expires_in: 30 }))
    })
    const { token } = await from(server.url).get()
    expect(token).toMatchObject({ value: jwt({ sub: 'svc' }), principal: 'svc', extensions: { pool: 'p1' } })
    const login = Buffer.from('a%3Ab:s3cret%2F%2B+%3D').toString('base64')
    expect(seen).toEqual([
      [
        'POST',
        `Basic ${login}`,
        'application/x-www-form-urlencoded;charset=UTF-8',
        'grant_type=client_credentials&scope=kafka+all',
      ],
    ])
  })

  it.each<[string, number, string, RegExp, boolean]>([
    [
      'refuses the client',
      401,
      '{"error":"invalid_client","error_description":"Bad secret s3cret/+ ="}',
      /answered 401 \(invalid_client: Bad secret \*\*\*\); check KAFKA_SASL_OAUTH_CLIENT_ID/,
      true,
    ],
    ['has another address', 404, '<html>', /answered 404; correct KAFKA_SASL_OAUTH_TOKEN_URL/, true],
    ['is unwell', 503, '', /answered 503; check KAFKA_SASL_OAUTH_TOKEN_URL/, false],
    ['has too many guests', 429, '{}', /answered 429/, false],
    ['sends elsewhere', 302, '', /answered 302/, false],
    ['answers with a page', 200, '<html>', /answered 200/, false],
    ['gives no end', 200, '{"access_token":"x"}', /does not say when the token expires/, false],
  ])('that %s is named, and neither secret nor query', async (_, status, body, expected, isMistake) => {
    using server = await answering((_req, res) => void res.writeHead(status, { Location: '/login' }).end(body))
    const failure = await failureOf(from(server.url).get())
    expect(failure.message).toMatch(expected)
    expect(failure.message).not.toMatch(/s3cret|hidden/)
    expect(failure.isMistake).toBe(isMistake)
  })

  it('that is not there is waited for', async () => {
    const { url, ...gone } = await answering(() => {})
    gone[Symbol.dispose]()
    const failure = await failureOf(from(url).get())
    expect(failure.message).toMatch(/http:\/\/127\.0\.0\.1:\d+ cannot be reached \(ECONNREFUSED\)/)
    expect(failure.isMistake).toBe(false)
  })
})
