import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Router } from 'express'
import type { Marked } from 'marked'
import { PAGE_END, pageStart } from '../../read/http/page-frame.ts'
import { escapeHtml, html, ownMarkup } from '../html.ts'

const FOLDER = fileURLToPath(new URL('../../../docs/runbooks/', import.meta.url))
const INDEX = 'README'
const PATH = '/admin/runbooks'

/**
 * `GET /admin/runbooks` and `GET /admin/runbooks/NAME`: `docs/runbooks` as pages, so that a link of the console works wherever it is open.
 * They hold no data, so anybody may have them, as the console's page itself.
 */
export function runbookRoutes(): Router {
  const router = Router({ caseSensitive: true })
  // Only what stands there at the start can be asked for by name: no path is ever put together from an address.
  const names = readdirSync(FOLDER).flatMap(file => /^(Holdfast\w+)\.md$/.exec(file)?.[1] ?? [])
  const pages = new Map<string, Promise<string>>()
  const pageOf = (name: string) => {
    const page = pages.get(name) ?? renderedPage(name)
    pages.set(name, page)
    return page
  }
  router.get(
    PATH,
    async (_req, res) =>
      void res
        .set('Cache-Control', 'no-cache')
        .type('html')
        .send(await pageOf(INDEX)),
  )
  router.get(`${PATH}/:name`, async (req, res, next) => {
    const { name } = req.params
    if (!names.includes(name)) return next()
    res
      .set('Cache-Control', 'no-cache')
      .type('html')
      .send(await pageOf(name))
  })
  return router
}

async function renderedPage(name: string): Promise<string> {
  const [text, markdown] = await Promise.all([readFile(`${FOLDER}${name}.md`, 'utf8'), markdownToHtml()])
  const title = name === INDEX ? 'Runbooks' : name
  const page = html`${pageStart({ title, styles: ['style.css', 'runbook.css'] })}
  <main class="runbook">
    <p><a href="/admin">Console</a>${name === INDEX ? '' : html` · <a href="${PATH}">All runbooks</a>`}</p>
    ${ownMarkup(await markdown.parse(text))}
  </main>
`
  return page.text + PAGE_END
}

/** Loaded with the first runbook. Links that lead elsewhere in the repository have no page here, and are text. */
async function markdownToHtml(): Promise<Marked> {
  const { Marked } = await import('marked')
  return new Marked({
    renderer: {
      link({ href, tokens }) {
        const words = this.parser.parseInline(tokens)
        const runbook = /^(Holdfast\w+)\.md$/.exec(href)?.[1]
        if (runbook !== undefined) return `<a href="${PATH}/${runbook}">${words}</a>`
        return /^https?:/.test(href) ? `<a href="${escapeHtml(href)}">${words}</a>` : words
      },
      // What is wider than the page is scrolled, with keys as well.
      code: ({ text }) => `<pre tabindex="0"><code>${escapeHtml(text)}</code></pre>\n`,
    },
  })
}
