import { type RequestHandler, type Response, Router } from 'express'
import { orderView } from '../../../web/order-view.js'
import { type Child, h } from '../../../web/tree.js'
import { dispositionOf } from '../../core/errors.ts'
import type { Lookup, ValueCache } from '../../core/read-side.ts'
import type { Auth } from '../auth.ts'
import { html, htmlPieces } from '../html.ts'
import { writePieces } from '../pieces.ts'
import { UID } from '../uid.ts'

/** Longer than any uid with whatever was pasted around it; the rest is not worth showing. */
const MAX_SHOWN = 200

/** One page: what the address asks for, and how it is answered. */
interface Page {
  readonly status: number
  readonly title: string
  /** What stands in the search box. */
  readonly uid: string
  readonly body: Child
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * `GET /view?order_uid=`: the search page's answer without JavaScript, laid out by the same code (`web/order-view.js`).
 * @param guard that of all reading routes, for programs; who comes by a link or form is told as a person
 */
export function viewRoutes(cache: ValueCache, auth: Auth, guard: readonly RequestHandler[]): Router {
  const router = Router({ caseSensitive: true })
  router.get('/view', explainKeys(auth), ...guard, async (req, res) => {
    await send(res, await pageOf(cache, req.query.order_uid))
  })
  return router
}

/** A link cannot carry a key, so who needs one must have the page with JavaScript, which asks for it. */
function explainKeys(auth: Auth): RequestHandler {
  return (req, res, next) => {
    if (req.headers.authorization !== undefined) return next()
    const access = auth.check(req, 'read')
    if (access.ok) return next()
    return send(res, keyNeeded(access.problem.status, access.problem.headers))
  }
}

async function pageOf(cache: ValueCache, asked: unknown): Promise<Page> {
  const uid = typeof asked === 'string' ? cleaned(asked) : ''
  if (uid === '') return { status: 200, title: 'Orders', uid, body: '' }
  if (!UID.test(uid)) {
    return notice(400, uid.slice(0, MAX_SHOWN), 'This is not an order uid', [
      'An order uid has 1 to 64 characters: letters, digits, “_” and “-”.',
    ])
  }
  let lookup: Lookup
  try {
    lookup = await cache.get(uid)
  } catch (error) {
    // Anything but "away" is for the error handler.
    if (dispositionOf(error) !== 'retry') throw error
    const words = ['Orders in memory can still be read; this one is not among them. Try again in a few seconds.']
    return { ...notice(503, uid, 'The database cannot be reached just now', words), headers: { 'Retry-After': '5' } }
  }
  if (lookup.value === undefined) {
    return notice(404, uid, 'No order has this uid', [
      'It may be on its way still, or it was set aside as a dead letter. Check that the uid is complete.',
    ])
  }
  const order: object = JSON.parse(lookup.value.json.toString())
  return {
    status: 200,
    title: uid,
    uid,
    body: orderView(order, { source: lookup.hit ? 'memory' : 'database' }),
  }
}

/** Uids are pasted out of logs and JSON: with spaces, line ends, quotes or a comma around them. */
function cleaned(text: string): string {
  return text.replace(/[\s"'`,]+/g, '')
}

function notice(status: number, uid: string, title: string, words: readonly string[]): Page {
  const body = h('div', { class: 'notice' }, h('h2', {}, title), ...words.map(text => h('p', {}, text)))
  return { status, title, uid, body }
}

function keyNeeded(status: number, headers: Readonly<Record<string, string>> = {}): Page {
  return {
    ...notice(status, '', 'This service asks for a key', [
      'The order page takes one and keeps it until its tab is closed; it needs JavaScript for that.',
      'Programs send it with each request to /order/ and the uid, as “Authorization: Bearer …”.',
    ]),
    headers,
  }
}

/** A usual order is one piece, whose length can be told; a large one is rendered while it is read. */
async function send(res: Response, page: Page): Promise<void> {
  const body = htmlPieces(page.body)[Symbol.iterator]()
  const [first, second] = [body.next(), body.next()]
  const start = `${headOf(page)}${first.done ? '' : first.value}`
  const headers = {
    'Content-Type': 'text/html; charset=utf-8',
    'Cache-Control': 'private, no-cache',
    ...page.headers,
  }
  if (second.done) {
    const bytes = Buffer.from(start + FOOT)
    res.writeHead(page.status, { ...headers, 'Content-Length': bytes.length })
    res.end(bytes)
    return
  }
  res.writeHead(page.status, headers)
  if (res.req.method === 'HEAD') res.end()
  else await writePieces(res, restOf(start, second.value, body))
}

function* restOf(start: string, second: string, others: Iterator<string>): Iterable<string> {
  yield start
  yield second
  for (let piece = others.next(); !piece.done; piece = others.next()) yield piece.value
  yield FOOT
}

/** The frame is that of `web/index.html`. */
function headOf({ title, uid }: Page): string {
  return html`<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>${title} · Holdfast</title>
  <link rel="icon" href="/icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/frame.css">
  <link rel="stylesheet" href="/style.css">
  <link rel="stylesheet" href="/order.css">
</head>
<body>
  <header class="bar">
    <a class="brand" href="/"><img src="/icon.svg" alt="" width="28" height="28">Holdfast</a>
    <nav aria-label="Service">
      <a href="/admin">Console</a>
      <a href="/docs">API</a>
      <a href="/readyz?verbose">Health</a>
      <a href="/metrics">Metrics</a>
    </nav>
  </header>
  <main>
    <search>
    <form class="search" action="/view" method="get">
      <h1><label for="uid">Find an order</label></h1>
      <div class="box">
        <input id="uid" name="order_uid" type="text" value="${uid}" autocomplete="off" autocapitalize="none"
          spellcheck="false" enterkeyhint="search" placeholder="Order uid" aria-describedby="hint">
        <button type="submit">Find</button>
      </div>
      <p id="hint" class="hint">This page works without JavaScript. <a href="/">With it</a>, there is more to see.</p>
    </form>
    </search>
    <section id="result" aria-label="Result">`.text
}

const FOOT = `</section>
  </main>
</body>
</html>
`
