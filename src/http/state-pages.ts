import type { Request, Response } from 'express'
import { PAGE_END, pageStart } from '../read/http/page-frame.ts'
import type { HealthJson } from './health-json.ts'
import { html, type Markup, markup } from './html.ts'

/** Pages about the service itself, for a person with a browser. Programs get JSON at the same addresses. */

/** A browser prefers `text/html`; probes and curl accept anything, and have no preference. */
export function prefersPage(req: Request): boolean {
  return req.accepts(['application/json', 'text/html']) === 'text/html'
}

function sendPage(res: Response, status: number, title: string, body: Markup): void {
  const styles = ['style.css', 'state.css']
  const page = Buffer.from(
    html`${pageStart({ title, styles })}
  <main class="state">
    ${body}
  </main>
`.text + PAGE_END,
  )
  res.writeHead(status, {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Length': page.length,
    'Cache-Control': 'no-store',
    Vary: 'Accept',
  })
  res.end(page)
}

export function sendNotFoundPage(res: Response): void {
  sendPage(
    res,
    404,
    'Nothing here',
    html`<h1>There is nothing at this address</h1>
    <p>The link may be old, or a part of it is missing. <a href="/">Search</a>, <a href="/admin">the console</a> and
    <a href="/docs">the API</a> are where they always are.</p>`,
  )
}

const QUESTIONS = {
  '/livez': { title: 'Alive', bad: 'Needs a restart', about: 'A check fails here only when a restart would help.' },
  '/readyz': { title: 'Ready', bad: 'Not ready', about: 'A check that fails says what this process waits for.' },
} as const

/** @param checks `undefined`: the caller may not know them */
export function sendHealthPage(
  res: Response,
  path: keyof typeof QUESTIONS,
  isOk: boolean,
  checks: readonly HealthJson[] | undefined,
): void {
  const { title, bad, about } = QUESTIONS[path]
  const rows = (checks ?? []).map(
    ({ name, ok, reason, since }) => html`<tr data-ok="${String(ok)}">
        <td data-label="Check"><code>${name}</code></td>
        <td data-label="State">${ok ? 'ok' : 'fails'}</td>
        <td data-label="Reason">${reason ?? ''}${since === undefined ? '' : html` <span class="sub">since ${since}</span>`}</td>
      </tr>`,
  )
  const list =
    checks === undefined
      ? html`<p>Why is shown to those who may read: with a key, to programs.</p>`
      : html`<table>
      <thead><tr><th scope="col">Check</th><th scope="col">State</th><th scope="col">Reason</th></tr></thead>
      <tbody>${markup(rows)}</tbody>
    </table>`
  sendPage(
    res,
    isOk ? 200 : 503,
    isOk ? title : bad,
    html`<h1 class="verdict" data-ok="${String(isOk)}">${isOk ? title : bad}</h1>
    <p>${about} Programs get the same as JSON.</p>
    ${checks?.length === 0 ? html`<p>There is nothing to check.</p>` : list}`,
  )
}
