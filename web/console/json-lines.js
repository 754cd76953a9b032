/**
 * JSON as lines to read, with every literal as it was written: parsing and printing would lose details that matter here (1.0,
 * digits beyond 2^53, a key that stands twice). Iterative, so that 200,000 brackets cost lines but no stack.
 * @typedef {{ kind: 'key' | 'string' | 'number' | 'word' | 'sign', text: string }} Token
 * @typedef {{ depth: number, tokens: Token[] }} Line
 */

const SPACE = /[ \t\n\r]*/y
// biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these may not stand in a string of JSON
const STRING = /"[^"\\\0-\x1f]*(?:\\(?:["\\/bfnrt]|u[\da-fA-F]{4})[^"\\\0-\x1f]*)*"/y
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const WORD = /true|false|null/y

/** Deeper than any schema: below this depth no places are recorded, because they would cost memory for no use, and lines are not indented further. */
const MAX_DEPTH = 64

/**
 * @param {string} text
 * @returns {{ lines: Line[], places: Map<string, { at: number, line: number, token: number }>, stop: number | undefined }} `places`:
 * where the value of each JSON Pointer begins, in `text` and in `lines`; `stop`: the index in `text` at which it is no JSON any more
 */
export function jsonLines(text) {
  /** @type {Line} */
  let line = { depth: 0, tokens: [] }
  const lines = [line]
  const places = new Map()
  const open = []
  let at = 0
  let stop

  const put = (kind, text) => line.tokens.push({ kind, text })
  const breakLine = () => {
    line = { depth: Math.min(open.length, MAX_DEPTH), tokens: [] }
    lines.push(line)
  }
  const take = pattern => {
    pattern.lastIndex = at
    const found = pattern.exec(text)?.[0]
    if (found !== undefined) at += found.length
    return found
  }
  const takeSign = sign => {
    take(SPACE)
    if (text[at] !== sign) return false
    at += 1
    return true
  }

  /** @returns whether there was one */
  function value() {
    take(SPACE)
    if (open.length <= MAX_DEPTH) {
      places.set(pointerOf(open), { at, line: lines.length - 1, token: line.tokens.length })
    }
    for (const [begins, ends] of ['{}', '[]']) {
      if (!takeSign(begins)) continue
      put('sign', begins)
      if (takeSign(ends)) put('sign', ends)
      else {
        open.push({ ends, key: ends === ']' ? 0 : '', above: open.length < MAX_DEPTH ? pointerOf(open) : '' })
        breakLine()
        return member()
      }
      return true
    }
    for (const [kind, pattern] of [
      ['string', STRING],
      ['number', NUMBER],
      ['word', WORD],
    ]) {
      const found = take(pattern)
      if (found === undefined) continue
      put(kind, found)
      return true
    }
    return false
  }

  /** Reads up to a member's value: the name in an object, nothing in an array. */
  function member() {
    const within = open.at(-1)
    if (within.ends === ']') return 'value'
    take(SPACE)
    const name = take(STRING)
    if (name === undefined) return false
    put('key', name)
    within.key = JSON.parse(name)
    if (!takeSign(':')) return false
    put('sign', ': ')
    return 'value'
  }

  /** @type {string | boolean} */
  let next = 'value'
  while (next === 'value') {
    next = value()
    // After a value comes another one, or the end of what it is in.
    while (next === true && open.length > 0) {
      const within = open.at(-1)
      if (takeSign(',')) {
        put('sign', ',')
        if (within.ends === ']') within.key += 1
        breakLine()
        next = member()
      } else if (takeSign(within.ends)) {
        open.pop()
        breakLine()
        put('sign', within.ends)
      } else next = false
    }
  }
  take(SPACE)
  if (next === false || at < text.length) stop = at
  return { lines, places, stop }
}

/** RFC 6901. */
function pointerOf(open) {
  if (open.length === 0) return ''
  const within = open.at(-1)
  const name =
    typeof within.key === 'number' ? String(within.key) : within.key.replaceAll('~', '~0').replaceAll('/', '~1')
  return `${within.above}/${name}`
}

/**
 * Where to show a violation: at its place; for a missing member, at its nearest ancestor that exists.
 * @returns {{ at: number, line: number, token: number, missing: string | undefined }}
 */
export function placeOf(places, pointer) {
  for (let above = pointer; ; above = above.slice(0, above.lastIndexOf('/'))) {
    const place = places.get(above)
    if (place !== undefined) {
      const missing = above === pointer ? undefined : pointer.slice(above.length + 1)
      return { ...place, missing: missing?.replaceAll('~1', '/').replaceAll('~0', '~') }
    }
    if (above === '') return { at: 0, line: 0, token: 0, missing: undefined }
  }
}

/** The lines as text, with two spaces for each level. */
export function textOf(lines) {
  return lines.map(({ depth, tokens }) => '  '.repeat(depth) + tokens.map(({ text }) => text).join('')).join('\n')
}
