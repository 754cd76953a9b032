import { type Request, type RequestHandler, type Response, Router } from 'express'
import { storyCard } from '../../../../web/story.js'
import { type Child, h } from '../../../../web/tree.js'
import { dispositionOf } from '../../../engine/errors.ts'
import { pathOf, withArticle } from '../../../engine/http-names.ts'
import type { Auth } from '../../../http/auth.ts'
import { html, htmlPieces, type Markup } from '../../../http/html.ts'
import { writePieces } from '../../../http/pieces.ts'
import type { Lookup } from '../../read-side.ts'
import { findTitle, PAGE_END, pageStart, streamNamed, streamSwitch, titleOf } from '../page-frame.ts'
import { storyIfKnown } from '../story.ts'
import type { ReadStream, StreamReading } from '../stream-reading.ts'
import type { ValueView } from '../value-views.ts'

/** Longer than a usual key with what was pasted around it; the rest is not worth showing. */
const MAX_SHOWN = 200
const STYLES = ['style.css', 'order.css']

/** One page: what the address asks for, and how it is answered. */
interface Page {
  readonly status: number
  readonly title: string
  /** Whose values are searched. */
  readonly stream: ReadStream
  /** What stands in the search box. */
  readonly key: string
  readonly body: Child
  readonly headers?: Readonly<Record<string, string>>
}

export interface ViewParts {
  /** At least one. */
  readonly streams: readonly Pick<StreamReading, 'stream' | 'cache' | 'positions' | 'deadLetters'>[]
  readonly views: ReadonlyMap<string, ValueView>
  /** Whether the caller of a guarded route is an operator. */
  readonly isAdmin: (res: Response) => boolean
}

/**
 * `GET /view?stream=NAME&key=KEY`, and the same under a parameter of the key that a stream declares: the search page's answer
 * without JavaScript, laid out by the same code (`web/order-view.js` for orders).
 * @param guard that of all reading routes, for programs; a person without a key gets a page that explains where to enter one
 */
export function viewRoutes(parts: ViewParts, auth: Auth, guard: readonly RequestHandler[]): Router {
  const router = Router({ caseSensitive: true })
  const streams = parts.streams.map(({ stream }) => stream)
  router.get('/view', explainKeys(auth, streams), ...guard, async (req, res) => {
    await send(res, streams, await pageOf(parts, req.query, parts.isAdmin(res)))
  })
  return router
}

/** The fields of a search without JavaScript. */
export function searchFields({ name, http }: ReadStream, key: string): Markup {
  const { one, keyWord, viewParameter } = http
  const label = `${one.charAt(0).toUpperCase()}${one.slice(1)} ${keyWord}`
  return html`${viewParameter === undefined ? html`<input type="hidden" name="stream" value="${name}">` : ''}<input id="uid" name="${viewParameter ?? 'key'}" type="text" value="${key}" autocomplete="off" autocapitalize="none" autocorrect="off"
          spellcheck="false" enterkeyhint="search" placeholder="${label}" aria-describedby="hint">`
}

/** A link cannot carry a key, so callers that need one must use the page with JavaScript, which asks for it. */
export function explainKeys(auth: Auth, streams: readonly ReadStream[]): RequestHandler {
  return (req, res, next) => {
    if (req.headers.authorization !== undefined) return next()
    const access = auth.check(req, 'read')
    const [stream] = streams
    if (access.ok || stream === undefined) return next()
    return send(res, streams, keyNeeded(stream, access.problem.status, access.problem.headers))
  }
}

async function pageOf({ streams, views }: ViewParts, query: Request['query'], isAdmin: boolean): Promise<Page> {
  const byParameter = streams.find(
    ({ stream: { http } }) => http.viewParameter !== undefined && http.viewParameter in query,
  )
  const found = byParameter ?? streamNamed(streams, query.stream)
  const [first] = streams
  if (first === undefined) throw new RangeError('there is no stream to show')
  if (found === undefined) {
    const names = streams.map(({ stream }) => stream.name).join(', ')
    return notice(404, first.stream, '', 'There is no stream of this name here', [`This service has ${names}.`])
  }
  const { stream, cache } = found
  const { one, keyWord, keyRule } = stream.http
  const asked = byParameter === undefined ? query.key : query[stream.http.viewParameter ?? '']
  const key = typeof asked === 'string' ? cleaned(asked) : ''
  if (key === '') return { status: 200, title: titleOf(stream), stream, key, body: '' }
  if (!stream.isKey(key)) {
    return notice(400, stream, key.slice(0, MAX_SHOWN), `This is not ${withArticle(one)} ${keyWord}`, [keyRule])
  }
  let lookup: Lookup
  try {
    lookup = await cache.get(key)
  } catch (error) {
    // Anything but "away" is for the error handler.
    if (dispositionOf(error) !== 'retry') throw error
    const words = [`What is in memory can still be read; this ${one} is not. Try again in a few seconds.`]
    const page = notice(503, stream, key, 'The database cannot be reached just now', words)
    return { ...page, headers: { 'Retry-After': '5' } }
  }
  if (lookup.value === undefined) {
    return notice(404, stream, key, `No ${one} has this ${keyWord}`, [
      `It may not have arrived yet, or it was set aside as a dead letter. Check that the ${keyWord} is complete.`,
    ])
  }
  const view = views.get(stream.name)
  if (view === undefined) throw new RangeError(`no view is loaded for the stream ${stream.name}`)
  const facts = { source: lookup.hit ? 'memory' : 'database', key, name: one, path: pathOf(stream.http, key) } as const
  const value = view(JSON.parse(lookup.value.json.toString()), facts)
  const isOnly = streams.length === 1
  const story = await storyIfKnown(found, key, { isAdmin, isOnly })
  const names = { one, stream: isOnly ? undefined : stream.name }
  const body = story === undefined ? value : h('div', {}, value, storyCard(story, names))
  return { status: 200, title: key, stream, key, body }
}

/** Keys are pasted out of logs and JSON: with spaces, line ends, quotes or a comma around them. */
function cleaned(text: string): string {
  return text.replace(/^[\s"'`,]+|[\s"'`,]+$/g, '')
}

function notice(status: number, stream: ReadStream, key: string, title: string, words: readonly string[]): Page {
  const body = h('div', { class: 'notice' }, h('h2', {}, title), ...words.map(text => h('p', {}, text)))
  return { status, title, stream, key, body }
}

function keyNeeded(stream: ReadStream, status: number, headers: Readonly<Record<string, string>> = {}): Page {
  const path = pathOf(stream.http, '')
  return {
    ...notice(status, stream, '', 'This service asks for a key', [
      'The search page takes one and keeps it until its tab is closed; it needs JavaScript for that.',
      `Programs send it with each request to ${path} and the ${stream.http.keyWord}, as “Authorization: Bearer …”.`,
    ]),
    headers,
  }
}

/** A usual value is one piece, whose length is known; a large one is rendered while the client reads it. */
async function send(res: Response, streams: readonly ReadStream[], page: Page): Promise<void> {
  const body = htmlPieces(page.body)[Symbol.iterator]()
  const [first, second] = [body.next(), body.next()]
  const start = `${headOf(streams, page)}${first.done ? '' : first.value}`
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

function headOf(streams: readonly ReadStream[], { title, stream, key }: Page): string {
  const home = streams.length < 2 ? '/' : `/?stream=${encodeURIComponent(stream.name)}`
  return html`${pageStart({ title, styles: STYLES })}
  <main>
    ${streamSwitch(streams, stream, '/view')}
    <search>
    <form class="search" action="/view" method="get">
      <h1><label for="uid">${findTitle(streams, stream)}</label></h1>
      <div class="box">
        ${searchFields(stream, key)}
        <button type="submit">Find</button>
      </div>
      <p id="hint" class="hint">This page needs no JavaScript. <a href="${home}">The search page</a> also shows what arrives.</p>
    </form>
    </search>
    <section id="result" aria-label="Result">`.text
}

const FOOT = `</section>
  </main>
${PAGE_END}`
