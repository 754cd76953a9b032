import { withArticle } from '../../engine/http-names.ts'
import { html, type Markup, markup } from '../../http/html.ts'
import type { ReadStream } from './stream-reading.ts'

export interface Frame {
  readonly title: string
  readonly styles: readonly string[]
  /** Module that the page runs. Default: none. */
  readonly script?: string | undefined
  /** Further modules, which the browser should load at once. */
  readonly preload?: string | undefined
  readonly description?: string | undefined
}

/** The beginning of a page up to its content, the same for all that the server writes itself. */
export function pageStart({ title, styles, script, preload, description }: Frame): Markup {
  return html`<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  ${description === undefined ? '' : html`<meta name="description" content="${description}">`}
  <title>${title} · Holdfast</title>
  <link rel="icon" href="/icon.svg" type="image/svg+xml">
  ${markup(['frame.css', ...styles].map(name => html`<link rel="stylesheet" href="/${name}">`))}
  ${script === undefined ? '' : html`<script type="module" src="/${script}"></script>`}
  ${preload === undefined ? '' : html`<link rel="modulepreload" href="/${preload}">`}
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
`
}

export const PAGE_END = `</body>
</html>
`

/** Links to the same page of each stream; nothing where there is only one. */
export function streamSwitch(streams: readonly ReadStream[], current: ReadStream, path: string): Markup {
  if (streams.length < 2) return html``
  const links = streams.map(stream => {
    const href = `${path}?stream=${encodeURIComponent(stream.name)}`
    const isCurrent = stream.name === current.name
    return html`<a href="${href}"${isCurrent ? html` aria-current="page"` : ''}>${stream.name}</a>`
  })
  return html`<nav class="streams" aria-label="Streams">${markup(links)}</nav>`
}

/** `Find an order`; `Find a value of returns` where neither its word nor the links to other streams say which stream it is. */
export function findTitle(streams: readonly ReadStream[], { name, http: { one } }: ReadStream): string {
  return `Find ${withArticle(one)}${one === 'value' && streams.length < 2 ? ` of ${name}` : ''}`
}

/** `Orders`. */
export function titleOf({ name }: ReadStream): string {
  return `${name.charAt(0).toUpperCase()}${name.slice(1)}`
}

/** The stream that an address names, or the first one. @returns `undefined` when there is none of this name */
export function streamNamed<S extends { readonly stream: ReadStream }>(
  streams: readonly S[],
  name: unknown,
): S | undefined {
  if (name === undefined || name === '') return streams[0]
  return streams.find(({ stream }) => stream.name === name)
}
