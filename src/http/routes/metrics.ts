import { Router } from 'express'

export interface MetricsPage {
  readonly contentType: string
  render(): Promise<string>
}

/** `/metrics`, for Prometheus. It holds counts and states, and nothing of any order. */
export function metricsRoute(page: MetricsPage): Router {
  const router = Router({ caseSensitive: true })
  router.get('/metrics', async (_req, res) => {
    const text = await page.render()
    res.writeHead(200, { 'Content-Type': page.contentType, 'Cache-Control': 'no-store' })
    res.end(text)
  })
  return router
}
