import { type Request, type RequestHandler, Router } from 'express'
import { foundList, listQuery } from '../../../../web/found-list.js'
import { type Child, h } from '../../../../web/tree.js'
import { encodeCursor } from '../../../engine/cursor.ts'
import { dispositionOf } from '../../../engine/errors.ts'
import type { Auth } from '../../../http/auth.ts'
import { html, htmlOf, type Markup, markup } from '../../../http/html.ts'
import { PAGE_END, pageStart, streamNamed, streamSwitch } from '../page-frame.ts'
import type { ReadStream, StreamReading } from '../stream-reading.ts'
import type { RowCells } from '../value-views.ts'
import { readQuery } from './list.ts'
import { explainKeys } from './view.ts'

export interface FoundParts {
  readonly streams: readonly Pick<StreamReading, 'stream' | 'catalog'>[]
  readonly rows: ReadonlyMap<string, RowCells>
}

/** `GET /view/list?stream=&COLUMN=&from=&to=&cursor=`: the list as a page without JavaScript; from and to may be days. */
export function foundRoute({ streams, rows }: FoundParts, auth: Auth, guard: readonly RequestHandler[]): Router {
  const router = Router({ caseSensitive: true })
  const all = streams.map(({ stream }) => stream)
  router.get('/view/list', explainKeys(auth, all), ...guard, async (req, res) => {
    const reading = streamNamed(streams, req.query.stream)
    if (reading === undefined) return void res.redirect(303, '/')
    const { status, body } = await answer(reading, req, rows.get(reading.stream.name) ?? (() => []))
    const page = Buffer.from(pageOf(all, reading.stream, req.query, body).text + PAGE_END)
    res.writeHead(status, {
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Length': page.length,
      'Cache-Control': 'private, no-cache',
    })
    res.end(page)
  })
  return router
}

async function answer(
  { stream, catalog }: FoundParts['streams'][number],
  req: Request,
  cellsOf: RowCells,
): Promise<{ readonly status: number; readonly body: Child }> {
  const { list } = stream.queries
  if (list === undefined) return notice(404, 'This stream has no list: single values are found by their key.')
  const query = readQuery(Object.fromEntries(listQuery(textsOf(req.query))), list, stream)
  if (!query.ok) return notice(400, query.why)
  try {
    const { values, next } = await catalog.page(query.value)
    const { viewParameter, one } = stream.http
    const rows = values.map(({ key, json }) => {
      const at = new URLSearchParams(
        viewParameter === undefined ? { stream: stream.name, key } : { [viewParameter]: key },
      )
      return { key, href: `/view?${at}`, cells: cellsOf(JSON.parse(json.toString())) }
    })
    const address = new URLSearchParams(textsOf(req.query))
    if (next !== undefined) address.set('cursor', encodeCursor(next))
    return {
      status: 200,
      body: foundList(rows, { one, more: next === undefined ? undefined : `/view/list?${address}` }),
    }
  } catch (error) {
    if (dispositionOf(error) !== 'retry') throw error
    return notice(503, 'The database cannot be reached just now. Try again in a few seconds.')
  }
}

function notice(status: number, words: string) {
  return { status, body: h('div', { class: 'notice' }, h('p', {}, words)) }
}

function textsOf(query: Request['query']): [string, string][] {
  return Object.entries(query).flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : []))
}

function pageOf(streams: readonly ReadStream[], stream: ReadStream, query: Request['query'], body: Child): Markup {
  return html`${pageStart({ title: `${stream.http.many}`, styles: ['style.css', 'order.css', 'home.css'] })}
  <main>
    ${streamSwitch(streams, stream, '/view/list')}
    ${listForm(stream, Object.fromEntries(textsOf(query)))}
    <section id="result" aria-label="Result">${htmlOf(body)}</section>
  </main>
`
}

/** The form of such a search; nothing for a stream without a list. */
export function listForm(stream: ReadStream, values: Readonly<Record<string, string>>): Markup {
  const { list } = stream.queries
  if (list === undefined) return html``
  const field = (name: string, type: string) => html`<label>${labelOf(name)}
      <input name="${name}" type="${type}" value="${values[name] ?? ''}" autocomplete="off" spellcheck="false"></label>`
  const fields = [...list.by.map(name => field(name, 'text')), field('from', 'date'), field('to', 'date')]
  return html`<search>
    <form id="by" class="by" action="/view/list" method="get" aria-label="Find several">
      <input type="hidden" name="stream" value="${stream.name}">
      ${markup(fields)}
      <button type="submit" class="quiet">List</button>
    </form>
    </search>`
}

/** `Customer id`. */
function labelOf(column: string): string {
  const words = column.replaceAll('_', ' ')
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}`
}
