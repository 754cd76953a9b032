import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { type AccessRole, type ApiKey, includesRole, type Keyless } from '../core/access.ts'
import type { Problem } from './problem.ts'

export interface AuthOptions {
  /** All of them are valid at once, so that a key can be exchanged without a gap. */
  readonly keys: readonly ApiKey[]
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
  /** `badKey`: one was presented, and it is none of ours. */
  | { readonly ok: false; readonly problem: Problem; readonly badKey: boolean }

export interface Auth {
  /** May this request do what needs the role? Cheap, and without side effects. */
  check(req: IncomingMessage, needed: AccessRole): Access
}

const LOOPBACK_ADDRESS = /^(?:::ffff:)?127\.|^::1$/
const LOOPBACK_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i
/** What proxies add. One on this machine makes every client look like a local one. */
const PROXY_HEADERS = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'] as const

/**
 * Deny by default. A key (`Authorization: Bearer …`) decides by itself: a browser never adds it to a request that some
 * other page makes, so with a key there is nothing to forge.
 *
 * Without one, being on this machine counts as a credential, and two attacks would use it from the victim's browser:
 *
 * - DNS rebinding: a page of evil.example has its name resolve to 127.0.0.1 and then reads from its "own" origin. The
 *   address is then a local one, but `Host` still says evil.example: so it must name this machine.
 * - Cross-site requests: any page may send a form to http://localhost:8081. It cannot read the answer, but a write is
 *   done by then. Browsers say where such a request comes from (`Origin`, `Sec-Fetch-Site`): it must be our own pages.
 *   Programs send neither header, and are let through.
 */
export function createAuth({ keys, keyless }: AuthOptions): Auth {
  const known = keys.map(({ name, role, sha256 }) => ({ name, role, hash: Buffer.from(sha256, 'hex') }))

  /** Looks at every key, so that the time taken does not tell how far it got. */
  function ownerOf(key: string): Caller | undefined {
    const hash = createHash('sha256').update(key).digest()
    let owner: Caller | undefined
    for (const candidate of known) if (timingSafeEqual(candidate.hash, hash)) owner = candidate
    return owner
  }

  function withoutKey(req: IncomingMessage, needed: AccessRole): Access {
    const trusted = keyless === 'everyone' || (keyless === 'loopback' && isLocal(req))
    if (!trusted || needed === 'admin') return refuse(KEY_REQUIRED)
    if (needed === 'write' && isForeignPage(req)) return refuse(FOREIGN_PAGE)
    return { ok: true, caller: { name: undefined, role: 'write' } }
  }

  return {
    check(req, needed) {
      const { authorization } = req.headers
      if (authorization === undefined) return withoutKey(req, needed)
      const key = /^Bearer +([\x21-\x7e]+) *$/i.exec(authorization)?.[1]
      const caller = key === undefined ? undefined : ownerOf(key)
      if (caller === undefined) return { ok: false, problem: BAD_KEY, badKey: true }
      return includesRole(caller.role, needed) ? { ok: true, caller } : refuse(roleTooSmall(needed))
    },
  }
}

function isLocal(req: IncomingMessage): boolean {
  if (!LOOPBACK_ADDRESS.test(req.socket.remoteAddress ?? '')) return false
  if (!LOOPBACK_HOST.test(req.headers.host ?? '')) return false
  return PROXY_HEADERS.every(name => req.headers[name] === undefined)
}

/** Whether a browser says that this request was made by a page that is not ours. */
function isForeignPage(req: IncomingMessage): boolean {
  const { origin } = req.headers
  const site = req.headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true
  // "null" (a sandboxed frame, a file) has no host, and so is nobody's. The scheme may differ behind a TLS proxy.
  return origin !== undefined && URL.parse(origin)?.host !== req.headers.host?.toLowerCase()
}

function refuse(problem: Problem): Access {
  return { ok: false, problem, badKey: false }
}

const REALM = 'Bearer realm="holdfast"'

const KEY_REQUIRED: Problem = {
  status: 401,
  code: 'key_required',
  detail: 'This needs a key: send it as "Authorization: Bearer …".',
  headers: { 'WWW-Authenticate': REALM },
}

const BAD_KEY: Problem = {
  status: 401,
  code: 'bad_key',
  detail: 'This key is not known here.',
  headers: { 'WWW-Authenticate': `${REALM}, error="invalid_token"` },
}

const FOREIGN_PAGE: Problem = {
  status: 403,
  code: 'foreign_page',
  detail: 'A page of another site may not write here without a key.',
}

function roleTooSmall(needed: AccessRole): Problem {
  return {
    status: 403,
    code: 'role_too_small',
    detail: `This key may not do that: it needs one with the role ${needed}.`,
    headers: { 'WWW-Authenticate': `${REALM}, error="insufficient_scope", scope="${needed}"` },
  }
}
