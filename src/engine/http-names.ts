/** How a stream's values are named and addressed over HTTP, where that differs from what its route gives. */
export interface HttpDefinition {
  /** Paths of one value with a parameter for the key, as Express writes them: `/order/:uid`. Links take the first. Default: `/ROUTE/:key`. */
  readonly paths?: readonly string[]
  /** A further path that takes the key as a query parameter. */
  readonly query?: { readonly path: string; readonly parameter: string }
  /** Parameter of `/view` that names a key of this stream. Default: none; `/view?stream=NAME&key=KEY` works for every stream. */
  readonly viewParameter?: string
  /** Field of the form in which `POST /ROUTE/create` takes its file. Default: `file`. */
  readonly fileField?: string
  /** Member that holds the values of a page and, in live events, their number. Default: `values`. */
  readonly many?: string
  /** Member that holds the key where we answer about a value. Default: `key`. */
  readonly keyField?: string
  /** What people call one value, and its key. Default: the stream's `command`, else the title of its schema, else `value`; and `key`. */
  readonly one?: string
  readonly keyWord?: string
  /** What a key looks like, as a sentence. */
  readonly keyRule?: string
  /** Codes of problems. Default: `malformed_key`, `value_not_found`. */
  readonly codes?: { readonly malformedKey: string; readonly notFound: string }
  /** File below `web/` that lays a value out for people (it exports `valueView`). Default: one that takes any value. */
  readonly view?: string
  /** A key that a person may try. */
  readonly sample?: string
  /** What live events contain of a value besides its key; nothing that names a person. Default: nothing. */
  readonly summary?: (value: unknown) => Readonly<Record<string, unknown>>
}

/** The same with every default filled in. */
export interface HttpNames {
  /** At least one. */
  readonly paths: readonly string[]
  readonly query: HttpDefinition['query'] | undefined
  readonly viewParameter: string | undefined
  /** `GET` for pages, `POST` for a new value, server-sent events. */
  readonly list: string
  readonly create: string
  readonly live: string
  readonly fileField: string
  readonly many: string
  readonly keyField: string
  readonly one: string
  readonly keyWord: string
  readonly keyRule: string
  readonly codes: { readonly malformedKey: string; readonly notFound: string }
  readonly view: string
  readonly sample: string | undefined
  readonly summary: (value: unknown) => Readonly<Record<string, unknown>>
}

/** First segments of paths that are taken, so that no stream may have them as its route. Names with a dot are files of the pages. */
export const RESERVED_ROUTES: ReadonlySet<string> = new Set([
  'admin',
  'console',
  'docs',
  'livez',
  'metrics',
  'readyz',
  'streams',
  'view',
])

/** A title that can stand in a sentence: a word or a few, and no sentence itself. */
const PLAIN_TITLE = /^\p{L}[\p{L}\p{N}]*(?:[ -][\p{L}\p{N}]+){0,2}$/u

/**
 * What the definition calls one value without saying so for HTTP.
 * @param title of its schema. It begins a line there: `Return` is `return` in a sentence, and `SKU` stays
 */
export function wordFor(command: string | undefined, title: unknown): string | undefined {
  if (command !== undefined) return command
  if (typeof title !== 'string' || title.length > 40 || !PLAIN_TITLE.test(title)) return undefined
  return /^\p{Lu}\p{Lu}/u.test(title) ? title : title.charAt(0).toLowerCase() + title.slice(1)
}

/**
 * @param route first segment of the stream's paths, without a slash
 * @param word what one value is called unless `given` says it, as {@link wordFor} finds it
 */
export function httpNames(route: string, given: HttpDefinition = {}, word = 'value'): HttpNames {
  const one = given.one ?? word
  return {
    paths: given.paths ?? [`/${route}/:key`],
    query: given.query,
    viewParameter: given.viewParameter,
    list: `/${route}`,
    create: `/${route}/create`,
    live: `/${route}/live`,
    fileField: given.fileField ?? 'file',
    many: given.many ?? 'values',
    keyField: given.keyField ?? 'key',
    one,
    keyWord: given.keyWord ?? 'key',
    keyRule:
      given.keyRule ??
      `This text cannot be the key of ${withArticle(one)}: the schema of the stream says what a key looks like.`,
    codes: given.codes ?? { malformedKey: 'malformed_key', notFound: 'value_not_found' },
    view: given.view ?? 'value-view.js',
    sample: given.sample,
    summary: given.summary ?? (() => ({})),
  }
}

/** The canonical path of this value. */
export function pathOf(names: Pick<HttpNames, 'paths'>, key: string): string {
  return (names.paths[0] ?? '').replace(/:\w+/, () => encodeURIComponent(key))
}

/** `an order`, `a value`. */
export function withArticle(word: string): string {
  return `${/^[aeiou]/i.test(word) ? 'an' : 'a'} ${word}`
}
