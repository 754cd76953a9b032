import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { marked, type Token } from 'marked'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Folders whose Markdown is for people; of the root only the files themselves. */
const FOLDERS = ['docs', 'bench', 'deploy', 'grafana', 'prometheus', '.github']

export interface Document {
  /** Below the root of the repository. */
  readonly path: string
  readonly text: string
  readonly tokens: readonly Token[]
}

/** A fenced block. */
export interface Block {
  /** `sh`, `console`, `ts` …; empty where the fence names none. */
  readonly language: string
  readonly text: string
}

export function documents(): Document[] {
  const below = FOLDERS.filter(folder => existsSync(join(ROOT, folder))).flatMap(folder =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map(name => join(folder, name)),
  )
  return [...readdirSync(ROOT), ...below]
    .filter(path => path.endsWith('.md') && !path.includes('node_modules'))
    .sort()
    .map(document)
}

const read = new Map<string, Document>()

export function document(path: string): Document {
  const known = read.get(path)
  if (known !== undefined) return known
  const text = readFileSync(join(ROOT, path), 'utf8')
  const made = { path, text, tokens: marked.lexer(text) }
  read.set(path, made)
  return made
}

export function blocksOf({ tokens }: Document): Block[] {
  return all(tokens).flatMap(token => (token.type === 'code' ? [{ language: token.lang ?? '', text: token.text }] : []))
}

/** What stands between backquotes within a text. */
export function codeSpansOf({ tokens }: Document): string[] {
  return all(tokens).flatMap(token => (token.type === 'codespan' ? [token.text] : []))
}

/** Addresses of links and pictures, as they are written. */
export function linksOf({ tokens }: Document): string[] {
  return all(tokens).flatMap(token => (token.type === 'link' || token.type === 'image' ? [token.href] : []))
}

/** The anchors of its headings, as GitHub makes them: of equal ones the second ends with `-1`. */
export function anchorsOf({ tokens }: Document): Set<string> {
  const seen = new Map<string, number>()
  const anchors = all(tokens).flatMap(token => {
    if (token.type !== 'heading') return []
    const slug = plain(token.tokens ?? [])
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{Pc} -]/gu, '')
      .replaceAll(' ', '-')
    const times = seen.get(slug) ?? 0
    seen.set(slug, times + 1)
    return times === 0 ? slug : `${slug}-${times}`
  })
  return new Set(anchors)
}

/** Pages that a host of repositories has beside its files: `../../releases/tag/v1` of a file at the root. */
const HOSTED = /^(?:\.\.\/)+(?:compare|releases|issues|pulls?|security|discussions)\b/

/** @returns the path below the root, and the anchor; `undefined` for an address of the web, and for a page of the repository's host */
export function targetOf(from: Document, link: string): { path: string; anchor: string } | undefined {
  if (/^[a-z]+:/.test(link) || HOSTED.test(link)) return undefined
  const [file = '', anchor = ''] = link.split('#')
  return { path: file === '' ? from.path : normalize(join(dirname(from.path), decodeURI(file))), anchor }
}

function plain(tokens: readonly Token[]): string {
  return tokens
    .map(token => ('tokens' in token && token.tokens ? plain(token.tokens) : token.raw.replaceAll('`', '')))
    .join('')
}

function all(tokens: readonly Token[]): Token[] {
  const found: Token[] = []
  void marked.walkTokens([...tokens], token => {
    found.push(token)
  })
  return found
}
