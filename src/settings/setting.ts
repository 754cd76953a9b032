import { isDatabaseUrl, throughOneHost } from '../engine/postgres/database-url.ts'
import { isSecretName } from '../engine/secret-text.ts'

/** How one setting is read from its text: pure, so that a table of them can be read, checked and documented alike. */
export interface Setting<T> {
  /** As it would be written; `undefined` when it stays unset. */
  readonly default: string | undefined
  /** What values it takes, in words that complete "must be …". */
  readonly expected: string
  /** What it is for, in a line. */
  readonly about: string
  /** The text as it may be shown: without passwords. */
  readonly shown: (text: string) => string
  /** Whether `NAME_FILE` may name a file that holds the text: true of each secret, and of what is exchanged together with one. */
  readonly inFile: boolean
  readonly parse: (text: string) => T | Mismatch
}

/** The text is invalid. The message states what is valid and never repeats the text, which may be a secret. */
export class Mismatch {
  readonly expected: string
  constructor(expected: string) {
    this.expected = expected
  }
}

const HIDDEN = '***'
/** For a text that is a secret as a whole. */
export const hideAll = () => HIDDEN

/**
 * What a setting hides of its text, piece by piece, as other programs may repeat it.
 * @param shown the text as the setting shows it
 */
export function hiddenPieces(text: string, shown: string): readonly string[] {
  if (shown === text) return []
  const around = shown.split(HIDDEN).map(part => RegExp.escape(part))
  // A text that is shown in another notation (a list without its spaces) hides the words of it that are not shown.
  const unseen = () => text.split(/[\s,;&?=:@/]+/).filter(word => !shown.includes(word))
  const pieces = new RegExp(`^${around.join('(.+?)')}$`, 's').exec(text)?.slice(1) ?? [text, ...unseen()]
  return pieces.map(piece => piece.replace(/^(["'])(.*)\1$/s, '$2')).flatMap(piece => [piece, unescaped(piece)])
}

/** As it was before it was written into a URL. */
function unescaped(piece: string): string {
  try {
    return decodeURIComponent(piece)
  } catch {
    return piece
  }
}

interface Words<D extends string | undefined = string | undefined> {
  readonly default: D
  readonly about: string
  /** Default: no. */
  readonly inFile?: boolean
}

/** Unset settings without a default are `undefined`, also in the type. */
type Read<T, D> = D extends string ? T : T | undefined

/** Builds a setting from a function that answers `undefined` when the text cannot be used. */
export function setting<T, D extends string | undefined>(
  words: Words<D> & { readonly expected: string; readonly shown?: (text: string) => string },
  parse: (text: string) => T | Mismatch | undefined,
): Setting<Read<T, D>> {
  return {
    ...words,
    shown: words.shown ?? maskText,
    inFile: words.inFile ?? false,
    parse: text => (parse(text) ?? new Mismatch(words.expected)) as Read<T, D> | Mismatch,
  }
}

/** A whole number within bounds, both included. */
export function integer<D extends string | undefined>(
  words: Words<D> & { readonly min: number; readonly max: number; readonly unit: string },
): Setting<Read<number, D>> {
  const { min, max, unit } = words
  return setting({ ...words, expected: `a whole number from ${min} to ${max} (${unit})` }, text =>
    /^\d{1,16}$/.test(text) ? within(Number(text), min, max) : undefined,
  )
}

/** A share, from none to all. */
export function fraction<D extends string | undefined>(words: Words<D>): Setting<Read<number, D>> {
  return setting({ ...words, expected: 'a share from 0 to 1, as in 0.5' }, text =>
    /^\d(\.\d{1,9})?$/.test(text) ? within(Number(text), 0, 1) : undefined,
  )
}

const BYTE_UNITS = { '': 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const

/** A number of bytes: `1048576`, `1024KiB`, `1MiB`. */
export function bytes<D extends string | undefined>(
  words: Words<D> & { readonly min: number; readonly max: number },
): Setting<Read<number, D>> {
  const { min, max } = words
  return setting({ ...words, expected: `bytes, as in 1048576 or 1MiB, from ${min} to ${max}` }, text => {
    const [, digits, unit] = /^(\d{1,15}) ?(KiB|MiB|GiB|)$/.exec(text) ?? []
    if (digits === undefined || unit === undefined) return undefined
    return within(Number(digits) * BYTE_UNITS[unit as keyof typeof BYTE_UNITS], min, max)
  })
}

function within(value: number, min: number, max: number): number | undefined {
  return value >= min && value <= max ? value : undefined
}

/** One of a closed set, in any case of letters. */
export function oneOf<const T extends string, D extends string | undefined>(
  words: Words<D> & { readonly values: readonly T[] },
): Setting<Read<T, D>> {
  return setting({ ...words, expected: `one of ${words.values.join(', ')}` }, text =>
    words.values.find(value => value.toLowerCase() === text.toLowerCase()),
  )
}

/** Text that is used as it stands. */
export function text<D extends string | undefined>(
  words: Words<D> & { readonly expected: string; readonly pattern: RegExp; readonly secret?: boolean },
): Setting<Read<string, D>> {
  return setting({ ...words, ...(words.secret ? { shown: hideAll, inFile: true } : {}) }, value =>
    words.pattern.test(value) ? value : undefined,
  )
}

/** `postgres://…`: a password in it is hidden, wherever it stands. */
export function postgresUrl<D extends string | undefined>(words: Words<D>): Setting<Read<string, D>> {
  const expected = 'a URL as in postgres://user:password@host:5432/database, or with several hosts: one:5432,two:5432'
  const shown = (value: string) => throughOneHost(value, maskUrl)
  return setting({ ...words, expected, shown, inFile: true }, value =>
    isDatabaseUrl(value) ? fullyVerified(value) : undefined,
  )
}

/**
 * pg 8 takes the weaker modes for `verify-full`, says so in ten lines on stderr, and will give that up with its next major
 * version: what is checked today stays checked, and quietly. `uselibpqcompat` asks for less.
 */
function fullyVerified(url: string): string {
  if (/[?&]uselibpqcompat=true(&|$)/.test(url)) return url
  return url.replace(/([?&]sslmode=)(?:prefer|require|verify-ca)(?=&|$)/, '$1verify-full')
}

/**
 * `user:password@` does not belong into a broker list; if one is given, it is not repeated. A password may hold a comma or a
 * slash, so all before the last @ is hidden. A value in the query of a URL is hidden when its name says that it is a secret.
 */
function maskText(value: string): string {
  const hidden = value.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*:.*@|^([a-z][a-z0-9+.-]*:\/\/).*@/is, `$1$2${HIDDEN}@`)
  return hidden.replace(/([?&;#])([^=&;#\s]+)=([^&;#\s]*)/g, (pair, separator: string, name: string) =>
    isSecretName(name) ? `${separator}${name}=${HIDDEN}` : pair,
  )
}

/** An option, and ahead of it what may be its value: an option without one has the next option there. */
const OPTION = /(--?[\w-]+)(?:\s+|=)(?=("[^"]*"|'[^']*'|["'].*|\S+))/gs

/** A program with its arguments. What follows an option is hidden where its name says that it is a secret: `--client-secret abc`. */
export function maskCommand(value: string): string {
  const text = maskText(value)
  let masked = ''
  let from = 0
  for (const { 0: all, 1: option = '', 2: argument = '', index } of text.matchAll(OPTION)) {
    if (!isSecretName(option) || index < from) continue
    masked += text.slice(from, index + all.length) + HIDDEN
    from = index + all.length + argument.length
  }
  return masked + text.slice(from)
}

/** Without the password and query values that look secret. What is no URL, or is cut in odd places, is hidden as a whole. */
export function maskUrl(value: string): string {
  const url = URL.parse(value)
  // A password with an unescaped `/`, `?` or `#` ends the host early, and its rest stands in the path.
  if (url === null || `${url.pathname}${url.search}${url.hash}`.includes('@')) return HIDDEN
  if (url.password !== '') url.password = HIDDEN
  for (const name of [...url.searchParams.keys()]) if (isSecretName(name)) url.searchParams.set(name, HIDDEN)
  return url.href
}

/** `name=value` pairs separated by commas; `\,` is a comma within a value. */
export function pairs<D extends string | undefined>(
  words: Words<D> & {
    readonly expected: string
    /** @returns why this name may not stand here with this value, without quoting the value; `undefined` when it may */
    readonly refuse: (name: string, value: string) => string | undefined
  },
): Setting<Readonly<Record<string, string>>> {
  const parse = (text: string) => {
    const entries: [string, string][] = []
    const refusals: string[] = []
    const parts = splitPairs(text)
    // Not even its name may be repeated: it is a piece of a secret.
    if (kindsOf(parts).includes('rest')) {
      return new Mismatch(`${words.expected}; a comma within a value is written as \\,`)
    }
    for (const part of parts) {
      const [, name, value] = /^([^=\s]+)\s*=\s*(.*)$/s.exec(part) ?? []
      if (name === undefined || value === undefined) return undefined
      const refusal = words.refuse(name, value)
      if (refusal !== undefined) refusals.push(`${name} is refused: ${refusal}`)
      entries.push([name, value])
    }
    if (refusals.length > 0) return new Mismatch([words.expected, ...refusals].join('; '))
    return Object.fromEntries(entries)
  }
  const shown = (text: string) => {
    const parts = splitPairs(text)
    const kinds = kindsOf(parts)
    return parts
      .map((part, index) => {
        if (kinds[index] === 'secret') return part.replace(/=.*$/s, `=${HIDDEN}`)
        return kinds[index] === 'rest' || !part.includes('=') ? HIDDEN : maskText(part)
      })
      .join(',')
  }
  return setting({ ...words, shown, default: words.default ?? '' }, parse)
}

function splitPairs(text: string): string[] {
  const parts = text.split(/(?<!\\),/).map(part => part.replaceAll('\\,', ',').trim())
  return parts.filter(part => part !== '')
}

type PartKind = 'plain' | 'secret' | 'rest'

/**
 * What each part is. `rest`: a secret holds a comma that was not escaped, and this stands behind it; so it does until the next
 * name that only a property can have, one with a dot.
 */
function kindsOf(parts: readonly string[]): PartKind[] {
  let before: PartKind = 'plain'
  return parts.map(part => {
    const [, name = ''] = /^([^=]*?)\s*=/.exec(part) ?? []
    const isProperty = /^[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+$/.test(name)
    const isPlainName = before === 'secret' && /^(?:acks|debug|partitioner|retries)$/.test(name)
    if (before !== 'plain' && !isProperty && !isPlainName) before = 'rest'
    else before = isSecretName(name) ? 'secret' : 'plain'
    return before
  })
}
