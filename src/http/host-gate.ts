import type { IncomingMessage } from 'node:http'
import type { RequestHandler } from 'express'
import { hostNameOf, hostNameOfAddress, isLoopbackName } from '../settings/hosts.ts'
import { type Problem, sendProblem } from './problem.ts'

/**
 * Under which names this server answers, and to the pages of which origins. It guards every mode, `AUTH=off` as well:
 *
 * - DNS rebinding: a page of evil.example has its name resolve to 127.0.0.1 and then reads from its "own" origin. `Host`
 *   still says evil.example. `X-Forwarded-Host` is never read: every client can send it.
 * - Cross-site requests: any page may send a form to http://localhost:8081. Browsers say where it comes from (`Origin`,
 *   `Sec-Fetch-Site`). Programs send neither header.
 */
export interface HostGate {
  /** Whether `Host` is one of ours. */
  knows(req: IncomingMessage): boolean
  /** Why this request is refused: its `Host` is none of ours, and it asks for more than the probes show every client. */
  refusal(req: IncomingMessage): Problem | undefined
  /** Whether a browser says that a page of another origin reads this. A link on another site, followed, is none. */
  isForeignOrigin(req: IncomingMessage): boolean
  /** Whether a browser says that another site is behind this request in any way. */
  isForeignPage(req: IncomingMessage): boolean
  /** Whether only this machine can connect. */
  readonly isLocal: boolean
  /** For people: `localhost, 127.0.0.0/8, [::1], orders.example`. */
  readonly names: string
}

export interface HostGateOptions {
  /** Where the server listens: its own name is one of those that are answered. */
  readonly host: string
  /** Further names. A page of one of these origins is ours also where a proxy has rewritten `Host`. */
  readonly allowedHosts: readonly string[]
  /** The setting that adds names, for the message. */
  readonly setting: string
}

/** Kubelets and load balancers ask a probe by the address of the pod, and learn no more than whether it works. */
const PROBES: ReadonlySet<string> = new Set(['/livez', '/readyz'])
/** As many different `Host` headers are remembered as parsed; a client that sends more is hostile. */
const REMEMBERED = 100

export function createHostGate({ host, allowedHosts, setting }: HostGateOptions): HostGate {
  const own = hostNameOfAddress(host)
  const listed = new Set(allowedHosts)
  // Prometheus scrapes a pod by its address. Where only this machine can connect, it uses a name of this machine.
  const isLocal = isLoopbackName(own)
  const isOpen = isLocal ? PROBES : new Set([...PROBES, '/metrics'])
  const known = new Map<string, boolean>()
  const shown = [own, ...allowedHosts].filter(name => name !== undefined && !isLoopbackName(name))
  const names = [...new Set(['localhost', '127.0.0.0/8', '[::1]', ...shown])].join(', ')
  const refused: Problem = {
    status: 421,
    code: 'host_not_allowed',
    detail: `This service does not answer under the name in the Host header. It answers to ${names}; ${setting} adds others.`,
  }

  function isOurs(header: string): boolean {
    const before = known.get(header)
    if (before !== undefined) return before
    const name = hostNameOf(header)
    const isOne = name !== undefined && (isLoopbackName(name) || name === own || listed.has(name))
    if (known.size >= REMEMBERED) known.clear()
    known.set(header, isOne)
    return isOne
  }

  function isForeignOrigin({ headers: { origin, host: asked } }: IncomingMessage): boolean {
    if (origin === undefined) return false
    // "null" (a sandboxed frame, a file) has no host, and so belongs to no site. The scheme may differ behind a TLS proxy.
    const page = URL.parse(origin)
    if (page === null || page.host === '') return true
    if (page.host === asked?.toLowerCase()) return false
    return !listed.has(hostNameOf(page.host) ?? '')
  }

  const knows = (req: IncomingMessage) =>
    isOurs(req.headers.host ?? '') && (req.url?.startsWith('/') !== false || isOurs(authorityOf(req.url)))

  return {
    isLocal,
    names,
    knows,
    refusal(req) {
      if (knows(req)) return undefined
      return isOpen.has(pathOf(req)) ? undefined : refused
    },
    isForeignOrigin,
    isForeignPage(req) {
      const site = req.headers['sec-fetch-site']
      if (site !== undefined && site !== 'same-origin' && site !== 'none') return true
      return isForeignOrigin(req)
    },
  }
}

/** Stands in front of all routes. */
export function requireHost(gate: HostGate, onRefused: (req: IncomingMessage) => void): RequestHandler {
  return (req, res, next) => {
    const problem = gate.refusal(req)
    if (problem === undefined) return next()
    onRefused(req)
    sendProblem(req, res, problem)
  }
}

/** A target with a scheme, as sent to a proxy, has an authority of its own, which counts before `Host` (RFC 9112, 3.2.2). */
function authorityOf(target: string): string {
  return /^[a-z][a-z\d+.-]*:\/\/([^/?#]*)/i.exec(target)?.[1] ?? ''
}

function pathOf(req: IncomingMessage): string {
  const url = req.url ?? ''
  const end = url.indexOf('?')
  return end === -1 ? url : url.slice(0, end)
}
