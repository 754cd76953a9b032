import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { HttpRefusal } from '../read/read-side.ts'
import { type AccessRole, type ApiKey, includesRole, type Keyless } from '../settings/access.ts'
import { hostNameOf, isLoopbackName } from '../settings/hosts.ts'
import type { HostGate } from './host-gate.ts'
import type { Problem } from './problem.ts'

export interface AuthOptions {
  /** All of them are valid at once, so that a key can be exchanged without a gap. A function is asked at each request. */
  readonly keys: readonly ApiKey[] | (() => readonly ApiKey[])
  readonly keyless: Keyless
}

/** Who asks. */
export interface Caller {
  /** The key's name; `undefined` without one. */
  readonly name: string | undefined
  readonly role: AccessRole
}

export type Access =
  | { readonly ok: true; readonly caller: Caller }
  | { readonly ok: false; readonly problem: AuthProblem }

/** `bad_key`: one was presented, and it is none of ours. */
export type AuthProblem = Problem & {
  readonly code: Extract<HttpRefusal, 'key_required' | 'bad_key' | 'role_too_small' | 'foreign_page'>
}

export interface Auth {
  /** May this request do what needs the role? Cheap, and without side effects. */
  check(req: IncomingMessage, needed: AccessRole): Access
}

const LOOPBACK_ADDRESS = /^(?:::ffff:)?127\.|^::1$/
/**
 * What reverse proxies, load balancers, CDNs and tunnels add to a request. One on this machine makes every client look like a
 * local one, so any of these ends the trust. A proxy that adds none of them must be kept off by HTTP_TRUST_LOOPBACK=off.
 */
const PROXY_HEADER = new RegExp(
  [
    '^(?:forwarded|via|client-ip|true-client-ip|remote-addr|remote-ip|real-ip|front-end-https|surrogate-capability)$',
    '^(?:cf|cdn|fly|fastly|akamai|incap|tailscale|wl-proxy|ali-cdn|rndr|do-connecting)-',
    '^x-(?:forward|real-?ip|original|client-?ip|cluster|envoy|remote|proxy|proxied|host$|http-host|rewrite|scheme$|url-scheme)',
    '^x-(?:amz-cf|azure|appengine|appgw|arr|akamai|cdn|edge|goog|nf|nginx|railway|sucuri|vercel|varnish|coming-from)(?:-|$)',
    '^x-(?:end-user|source-ip|true-client-ip|ssl|tls|request-start|served-by|cache)(?:-|$)',
  ].join('|'),
)

/**
 * Deny by default. A key (`Authorization: Bearer …`) is enough: a browser never adds it to a request that some
 * other page makes, so with a key there is nothing to forge.
 *
 * Without one, being on this machine may count as a credential (`keyless: 'loopback'`): the connection comes from a loopback
 * address, `Host` names this machine, and no proxy has added a header. Whatever needs no key is refused to pages of other
 * origins (see `host-gate.ts`, which has looked at `Host` before this is asked).
 */
export function createAuth({ keys, keyless }: AuthOptions, gate: HostGate): Auth {
  const current = typeof keys === 'function' ? keys : () => keys
  let given: readonly ApiKey[] = []
  let known: readonly (Caller & { readonly hash: Buffer })[] = []

  /** Looks at every key, so that the time taken does not show how far it got. */
  function ownerOf(key: string): Caller | undefined {
    const hash = createHash('sha256').update(key).digest()
    let owner: Caller | undefined
    const now = current()
    if (now !== given) {
      given = now
      known = now.map(({ name, role, sha256 }) => ({ name, role, hash: Buffer.from(sha256, 'hex') }))
    }
    for (const candidate of known) if (timingSafeEqual(candidate.hash, hash)) owner = candidate
    return owner
  }

  function withoutKey(req: IncomingMessage, needed: AccessRole): Access {
    const trusted = keyless === 'everyone' || (keyless === 'loopback' && isLocal(req))
    if (!trusted || needed === 'admin') return refuse(KEY_REQUIRED)
    if (needed === 'write' ? gate.isForeignPage(req) : gate.isForeignOrigin(req)) return refuse(FOREIGN_PAGE)
    return { ok: true, caller: { name: undefined, role: 'write' } }
  }

  return {
    check(req, needed) {
      const { authorization } = req.headers
      if (authorization === undefined) return withoutKey(req, needed)
      const key = /^Bearer +([\x21-\x7e]+) *$/i.exec(authorization)?.[1]
      const caller = key === undefined ? undefined : ownerOf(key)
      if (caller === undefined) return refuse(BAD_KEY)
      return includesRole(caller.role, needed) ? { ok: true, caller } : refuse(roleTooSmall(needed))
    },
  }
}

function isLocal(req: IncomingMessage): boolean {
  if (!LOOPBACK_ADDRESS.test(req.socket.remoteAddress ?? '')) return false
  if (!isLoopbackName(hostNameOf(req.headers.host ?? ''))) return false
  for (const name in req.headers) if (PROXY_HEADER.test(name)) return false
  return true
}

function refuse(problem: AuthProblem): Access {
  return { ok: false, problem }
}

const REALM = 'Bearer realm="holdfast"'

const KEY_REQUIRED: AuthProblem = {
  status: 401,
  code: 'key_required',
  detail: 'This needs a key: send it as "Authorization: Bearer …".',
  headers: { 'WWW-Authenticate': REALM },
}

const BAD_KEY: AuthProblem = {
  status: 401,
  code: 'bad_key',
  detail: 'This key is not known here.',
  headers: { 'WWW-Authenticate': `${REALM}, error="invalid_token"` },
}

const FOREIGN_PAGE: AuthProblem = {
  status: 403,
  code: 'foreign_page',
  detail:
    'A page of another origin may not use this without a key. HTTP_ALLOWED_HOSTS lists names whose pages are ours.',
}

function roleTooSmall(needed: AccessRole): AuthProblem {
  return {
    status: 403,
    code: 'role_too_small',
    detail: `This key may not do that: it needs one with the role ${needed}.`,
    headers: { 'WWW-Authenticate': `${REALM}, error="insufficient_scope", scope="${needed}"` },
  }
}
