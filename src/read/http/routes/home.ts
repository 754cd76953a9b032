import { hash } from 'node:crypto'
import { type Response, Router } from 'express'
import { withArticle } from '../../../engine/http-names.ts'
import { matchesEtag } from '../../../http/etag.ts'
import { html, type Markup } from '../../../http/html.ts'
import { findTitle, PAGE_END, pageStart, streamNamed, streamSwitch, titleOf } from '../page-frame.ts'
import type { ReadStream } from '../stream-reading.ts'
import { listForm } from './found.ts'
import { COMMAND, streamEntry } from './streams.ts'
import { searchFields } from './view.ts'

const STYLES = ['style.css', 'order.css', 'home.css']

/**
 * `GET /` and `GET /?stream=NAME`: search, latest values, and a form for a new one. What its script (`web/app.js`) needs to know of the
 * stream stands in `data-stream`.
 */
export function homeRoute(streams: readonly ReadStream[]): Router {
  const router = Router({ caseSensitive: true })
  const pages = new Map(streams.map(stream => [stream.name, Buffer.from(homePage(streams, stream).text + PAGE_END)]))
  const known = streams.map(stream => ({ stream }))
  router.get('/', (req, res) => {
    const named = streamNamed(known, req.query.stream)?.stream
    if (named === undefined) return void sendPage(res, 404, Buffer.from(unknownStream(streams).text + PAGE_END))
    const page = pages.get(named.name) ?? Buffer.alloc(0)
    const etag = `"${hash('sha1', page, 'base64url')}"`
    if (!matchesEtag(req.headers['if-none-match'], etag)) return void sendPage(res, 200, page, { ETag: etag })
    res.writeHead(304, { ETag: etag, 'Cache-Control': 'no-cache' })
    res.end()
  })
  return router
}

function sendPage(res: Response, status: number, page: Buffer, headers: Readonly<Record<string, string>> = {}): void {
  res.writeHead(status, {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Length': page.length,
    'Cache-Control': 'no-cache',
    ...headers,
  })
  res.end(page)
}

function unknownStream(streams: readonly ReadStream[]): Markup {
  const [first] = streams
  const links = first === undefined ? html`` : streamSwitch(streams, { ...first, name: '' }, '/')
  return html`${pageStart({ title: 'No such stream', styles: STYLES })}
  <main>
    ${links}
    <div class="notice"><h2>There is no stream of this name here</h2>
      <p>This service has ${streams.map(({ name }) => name).join(', ')}. <a href="/">Go to the first one</a>.</p></div>
  </main>
`
}

function homePage(streams: readonly ReadStream[], stream: ReadStream): Markup {
  const { one, keyWord, create, fileField, sample } = stream.http
  const an = withArticle(one)
  const label = `${one.charAt(0).toUpperCase()}${one.slice(1)}`
  const hint =
    sample === undefined
      ? html``
      : html` Try the sample ${one}:
        <a id="example" class="sample" data-key="${sample}" href="/view?${searchQuery(stream, sample)}">${sample}</a>`
  return html`${pageStart({
    title: titleOf(stream),
    styles: STYLES,
    script: 'app.js',
    preload: stream.http.view,
    description: `Find ${an} by its ${keyWord}.`,
  })}
  <main data-stream="${JSON.stringify(streamEntry(stream))}" data-command="${COMMAND}">
    <form id="key-form" class="notice key" hidden>
      <label for="key">Key</label>
      <p id="key-why" role="status"></p>
      <div class="box">
        <input id="key" name="key" type="password" autocomplete="off" spellcheck="false" aria-describedby="key-why">
        <button type="submit">Use it</button>
      </div>
    </form>

    ${streamSwitch(streams, stream, '/')}
    <search>
    <form id="search" class="search" action="/view" method="get" novalidate>
      <h1><label for="uid">${findTitle(streams, stream)}</label></h1>
      <div class="box">
        ${searchFields(stream, '')}
        <button type="submit">Find</button>
      </div>
      <p id="hint" class="hint">
        Paste a ${keyWord} and press Enter. <span class="keys"><kbd>/</kbd> moves the cursor here.</span>${hint}
      </p>
    </form>
    </search>
    ${listForm(stream, {})}

    <p id="status" class="visually-hidden" role="status" aria-live="polite"></p>
    <section id="result" aria-label="Result"></section>

    <section id="latest" class="panel" aria-labelledby="latest-title" hidden>
      <div class="panel-head">
        <h2 id="latest-title">Latest ${one}s</h2>
        <button type="button" class="quiet" id="latest-pause" aria-pressed="false" hidden>Stop the list</button>
      </div>
      <p id="latest-state" class="hint"></p>
      <ol id="latest-list" class="latest"></ol>
    </section>

    <section class="panel" aria-labelledby="create-title">
      <h2 id="create-title">Add ${an}</h2>
      <form id="create" class="create" action="${create}" method="post" enctype="multipart/form-data">
        <div id="drop" class="drop">
          <label for="order-file">${label} as a JSON file</label>
          <input id="order-file" name="${fileField}" type="file" accept=".json,application/json"
            aria-describedby="drop-hint">
          <p id="drop-hint" class="hint">Or drop it here. One ${one}, at most 1 MiB.</p>
        </div>
        <button type="submit" id="send">Send</button>
      </form>
      <div id="create-answer" role="status"></div>
    </section>
  </main>
`
}

function searchQuery({ name, http }: ReadStream, key: string): string {
  const { viewParameter } = http
  return String(new URLSearchParams(viewParameter === undefined ? { stream: name, key } : { [viewParameter]: key }))
}
