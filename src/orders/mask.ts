import { isUtf8 } from 'node:buffer'
import { isInstant } from '../engine/values/instant.ts'
import { orderSchema } from './order-schema.ts'

export const MASK = '•••'

/** Who ordered and who receives it, by the place in the order: nothing there is shown, whatever it is. */
const PERSONAL: ReadonlySet<string> = new Set(['/customer_id', '/delivery'])

/** An address of e-mail, or a telephone number with its country: personal also in a field that takes any text. */
const ADDRESS = /@|^\s*\+[\d\s().-]{7,}$/

/** What is known of one place of the order. */
interface Place {
  /** Members that may follow; `undefined` where an object does not belong. */
  readonly members: ReadonlyMap<string, Place> | undefined
  /** Entries of the array that belongs here. */
  readonly entries: Place | undefined
  /** Whether a token of JSON is what the schema has here, and says nothing of a person. */
  readonly isHarmless: (token: string) => boolean
}

interface SchemaNode {
  readonly type: string
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly items?: SchemaNode
  readonly pattern?: string
  readonly format?: string
}

const NOWHERE: Place = { members: undefined, entries: undefined, isHarmless: () => false }
const ORDER = placeOf(orderSchema, '')
/** Names that the schema has somewhere. Any other one may be an address that stands where a name should. */
const NAMES = namesOf(orderSchema)

function placeOf({ type, properties, items, pattern, format }: SchemaNode, pointer: string): Place {
  if (PERSONAL.has(pointer)) return NOWHERE
  const members = Object.entries(properties ?? {}).map(([name, node]): [string, Place] => [
    name,
    placeOf(node, `${pointer}/${name}`),
  ])
  const shape = pattern === undefined ? undefined : new RegExp(pattern, 'u')
  return {
    members: type === 'object' ? new Map(members) : undefined,
    entries: items === undefined ? undefined : placeOf(items, `${pointer}/*`),
    isHarmless(token) {
      if (type === 'integer') return /^-?\d/.test(token)
      if (type !== 'string' || !token.startsWith('"')) return false
      const text = String(JSON.parse(token))
      return !ADDRESS.test(text) && shape?.test(text) !== false && (format !== 'date-time' || isInstant(text))
    },
  }
}

function namesOf({ properties = {}, items }: SchemaNode): ReadonlySet<string> {
  const inner = [...Object.values(properties), ...(items === undefined ? [] : [items])]
  return new Set([...Object.keys(properties), ...inner.flatMap(node => [...namesOf(node)])])
}

/** One token of JSON that is known to be valid. White space lies between tokens. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s"{}[\],:]+/g

interface Container {
  readonly isObject: boolean
  readonly place: Place
  /** In an object: where the value after the name stands; `undefined` until the name has come. */
  next: Place | undefined
}

/**
 * The JSON as it stands, byte for byte (its layout, repeated fields, numbers that no program can hold), but with
 * {@link MASK} for whatever is not known to be harmless: shown are the fields of an order that say nothing of a person, where
 * they stand in the place and have the type (and the form: a currency, an instant) of the schema. Everything else may be
 * personal: what stands elsewhere, a name in a number's field, names that the schema does not know. Structure, `null`,
 * booleans and empty strings stay: they name nobody, and violations often are about them.
 * @returns `undefined` when it is no JSON: nobody can say what in it is personal
 */
export function maskPersonal(value: Buffer): Buffer | undefined {
  if (!isUtf8(value)) return undefined
  const text = value.toString('utf8')
  const bom = text.charCodeAt(0) === 0xfeff ? 1 : 0
  try {
    JSON.parse(text.slice(bom))
  } catch {
    return undefined
  }
  const open: Container[] = []
  return Buffer.from(text.slice(0, bom) + text.slice(bom).replace(TOKEN, token => maskToken(token, open)))
}

/** By a list instead of by recursion: nesting costs no stack. */
function maskToken(token: string, open: Container[]): string {
  const inside = open.at(-1)
  switch (token) {
    case '{':
    case '[':
      open.push({ isObject: token === '{', place: nextPlace(inside), next: undefined })
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
    inside.next = inside.place.members?.get(name) ?? NOWHERE
    return NAMES.has(name) ? token : JSON.stringify(MASK)
  }
  return namesNobody(token) || nextPlace(inside).isHarmless(token) ? token : JSON.stringify(MASK)
}

/** Where the value that comes next stands. */
function nextPlace(inside: Container | undefined): Place {
  if (inside === undefined) return ORDER
  return (inside.isObject ? inside.next : inside.place.entries) ?? NOWHERE
}

function namesNobody(token: string): boolean {
  return token === 'null' || token === 'true' || token === 'false' || token === '""'
}
