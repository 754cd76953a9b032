import { isUtf8 } from 'node:buffer'
import type { Pointer } from '../definition.ts'
import { hasFormat } from './formats.ts'
import { escapeSegment } from './pointer.ts'
import { ANY, type Shape, type TextShape } from './shape.ts'

export const MASK = '•••'

/** An email address, or a telephone number with its country: personal also in a field that takes any text. */
const ADDRESS = /@|^\s*\+[\d\s().-]{7,}$/

/** A place of a value, and what of its content may be shown. */
interface Place {
  /** Members that may follow; `undefined` where an object does not belong. */
  readonly members: ReadonlyMap<string, Place> | undefined
  /** Members of any other name. */
  readonly others: Place | undefined
  /** Entries of the array that belongs here. */
  readonly entries: Place | undefined
  /** Whether a token of JSON is what the schema has here, and contains no personal data. */
  readonly isHarmless: (token: string) => boolean
}

const NOWHERE: Place = { members: undefined, others: undefined, entries: undefined, isHarmless: () => false }

/** One token of JSON that is known to be valid. White space lies between tokens. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s"{}[\],:]+/g

interface Container {
  readonly isObject: boolean
  readonly place: Place
  /** In an object: where the value after the name stands; `undefined` until the name has come. */
  next: Place | undefined
}

/**
 * Compiles a mask of personal data. The function gives the JSON as it stands, byte for byte (its layout, repeated fields, numbers that no
 * program can hold), but with {@link MASK} for whatever is not known to be harmless: shown are fields outside the personal places, where
 * they stand in the place and have the type (and the form: a pattern, an instant) of the schema. Everything else may be personal: what
 * stands elsewhere, a name in a number's field, names of fields that the schema does not know. Structure, `null`, booleans and empty
 * strings stay: they identify no person, and violations often are about them.
 * @param personal places whose content is never shown; the entries of an array stand under `*`
 * @returns a function whose result is `undefined` when the bytes are not JSON: what of them is personal cannot be known
 */
export function createMask(shape: Shape, personal: readonly Pointer[]): (value: Buffer) => Buffer | undefined {
  const root = placeOf(shape, '', new Set(personal))
  const names = namesOf(shape)

  return value => {
    if (!isUtf8(value)) return undefined
    const text = value.toString('utf8')
    const bom = text.charCodeAt(0) === 0xfeff ? 1 : 0
    try {
      JSON.parse(text.slice(bom))
    } catch {
      return undefined
    }
    const open: Container[] = []
    return Buffer.from(
      text.slice(0, bom) + text.slice(bom).replace(TOKEN, token => maskToken(token, open, root, names)),
    )
  }
}

function placeOf(shape: Shape, pointer: string, personal: ReadonlySet<string>): Place {
  if (personal.has(pointer)) return NOWHERE
  switch (shape.kind) {
    case 'any':
      // What no schema describes may hold anything.
      return NOWHERE
    case 'object': {
      const members = [...shape.members].map(([name, member]): [string, Place] => [
        name,
        placeOf(member.shape, `${pointer}/${escapeSegment(name)}`, personal),
      ])
      const others = shape.others && placeOf(shape.others, `${pointer}/*`, personal)
      return { ...NOWHERE, members: new Map(members), others }
    }
    case 'array':
      return { ...NOWHERE, entries: placeOf(shape.entries, `${pointer}/*`, personal) }
    case 'string':
      return { ...NOWHERE, isHarmless: token => token.startsWith('"') && isHarmlessText(JSON.parse(token), shape) }
    case 'integer':
    case 'number':
      return { ...NOWHERE, isHarmless: token => /^-?\d/.test(token) }
    case 'boolean':
      return NOWHERE
  }
}

function isHarmlessText(text: string, { pattern, format, values }: TextShape): boolean {
  if (ADDRESS.test(text) || pattern?.test(text) === false) return false
  if (format !== undefined && !hasFormat(format, text)) return false
  return values === undefined || values.includes(text)
}

/** Names that the schema has somewhere. Any other one may be an address that stands where a name should. */
function namesOf(shape: Shape, names = new Set<string>()): ReadonlySet<string> {
  if (shape.kind === 'array') return namesOf(shape.entries, names)
  if (shape.kind !== 'object') return names
  for (const [name, member] of shape.members) namesOf(member.shape, names.add(name))
  return namesOf(shape.others ?? ANY, names)
}

/** By a list instead of by recursion: nesting costs no stack. */
function maskToken(token: string, open: Container[], root: Place, names: ReadonlySet<string>): string {
  const inside = open.at(-1)
  switch (token) {
    case '{':
    case '[':
      open.push({ isObject: token === '{', place: nextPlace(inside, root), next: undefined })
      return token
    case '}':
    case ']':
      open.pop()
      return token
    case ':':
      return token
    case ',':
      if (inside?.isObject) inside.next = undefined
      return token
  }
  if (inside?.isObject && inside.next === undefined) {
    const name = String(JSON.parse(token))
    inside.next = inside.place.members?.get(name) ?? inside.place.others ?? NOWHERE
    return names.has(name) ? token : JSON.stringify(MASK)
  }
  return identifiesNobody(token) || nextPlace(inside, root).isHarmless(token) ? token : JSON.stringify(MASK)
}

/** Where the value that comes next stands. */
function nextPlace(inside: Container | undefined, root: Place): Place {
  if (inside === undefined) return root
  return (inside.isObject ? inside.next : inside.place.entries) ?? NOWHERE
}

function identifiesNobody(token: string): boolean {
  return token === 'null' || token === 'true' || token === 'false' || token === '""'
}
