import { Router } from 'express'

type Format = 'text' | 'openmetrics'

export interface MetricsPage {
  readonly contentType: Readonly<Record<Format, string>>
  render(format: Format): Promise<string>
}

/**
 * `/metrics`, for Prometheus. It holds counts and states, and nothing of any order. A scraper that asks for OpenMetrics (as
 * Prometheus does) is given that, because only there a duration can name the trace of an example.
 */
export function metricsRoute(page: MetricsPage): Router {
  const router = Router({ caseSensitive: true })
  router.get('/metrics', async (req, res) => {
    const format = prefersOpenMetrics(req.get('accept') ?? '') ? 'openmetrics' : 'text'
    const text = await page.render(format)
    res.writeHead(200, { 'Content-Type': page.contentType[format], 'Cache-Control': 'no-store', Vary: 'Accept' })
    res.end(text)
  })
  return router
}

/** By the types alone: scrapers name parameters (`version`, `escaping`) of their own, which Express would hold against us. */
function prefersOpenMetrics(accept: string): boolean {
  const weights = accept.split(',').map(entry => {
    const [type = '', ...parameters] = entry.split(';').map(part => part.trim().toLowerCase())
    const q = parameters.find(parameter => parameter.startsWith('q='))
    return { type, weight: q === undefined ? 1 : Number(q.slice(2)) }
  })
  const weightOf = (wanted: string) => Math.max(0, ...weights.filter(({ type }) => type === wanted).map(w => w.weight))
  const open = weightOf('application/openmetrics-text')
  return open > 0 && open >= weightOf('text/plain')
}
