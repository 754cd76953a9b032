import { type Request, type Response, Router } from 'express'
import type { HealthCheck } from '../../engine/status.ts'
import { askAll } from '../health-json.ts'
import { prefersPage, sendHealthPage } from '../state-pages.ts'

export interface HealthRoutes {
  /** `/livez`: a failing check means that a restart would help. */
  readonly live: readonly HealthCheck[]
  /** `/readyz`: a failing check gives the reason why this process should not be relied on now. */
  readonly ready: readonly HealthCheck[]
  /** Whether this caller gets more than the status. */
  readonly mayKnowWhy: (req: Request) => boolean
  /** Whether browsers get a page, which needs the files of `web`. */
  readonly pages?: boolean
}

/**
 * `/livez` and `/readyz`: 200 when every check holds, else 503 with each failing check and its reason. `?verbose` names
 * the ones that hold, too. Probes need no key, and then see the status alone. A browser gets a page with the same status and all checks.
 */
export function healthRoutes({ live, ready, mayKnowWhy, pages = false }: HealthRoutes): Router {
  const router = Router({ caseSensitive: true })
  const detailOf = (req: Request) => (!mayKnowWhy(req) ? 'none' : 'verbose' in req.query ? 'all' : 'failing')
  for (const [path, checks] of [
    ['/livez', live],
    ['/readyz', ready],
  ] as const) {
    router.get(path, (req, res) => {
      if (!pages || !prefersPage(req)) return answer(checks, detailOf(req), res)
      const results = askAll(checks)
      const isOk = results.every(({ ok }) => ok)
      sendHealthPage(res, path, isOk, mayKnowWhy(req) ? results : undefined)
    })
  }
  return router
}

function answer(checks: readonly HealthCheck[], detail: 'none' | 'failing' | 'all', res: Response): void {
  const results = askAll(checks)
  const failing = results.filter(result => !result.ok)
  const shown = { none: [], failing, all: results }[detail]
  const body = Buffer.from(
    JSON.stringify({
      status: failing.length === 0 ? 'ok' : 'failing',
      ...(shown.length === 0 ? {} : { checks: shown }),
    }),
  )
  res.writeHead(failing.length === 0 ? 200 : 503, {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': body.length,
    'Cache-Control': 'no-store',
  })
  res.end(body)
}
