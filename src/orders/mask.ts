import { isUtf8 } from 'node:buffer'
import { itemSchema, orderSchema } from './order-schema.ts'

export const MASK = '•••'

const { delivery, payment, items: _, ...fields } = orderSchema.properties

/** Who ordered and who receives it. */
const PERSONAL: ReadonlySet<string> = new Set(['customer_id', ...Object.keys(delivery.properties)])

/** Fields of an order that say nothing of a person. What is not among them may hold anything, and is masked as well. */
const SHOWN: ReadonlySet<string> = new Set(
  [fields, payment.properties, itemSchema.properties].flatMap(Object.keys).filter(name => !PERSONAL.has(name)),
)

/** One token of JSON that is known to be valid. White space lies between tokens. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s"{}[\],:]+/g

interface Container {
  readonly isObject: boolean
  /** Name of the field that holds it; of an array's entries: the array's. */
  readonly field: string | undefined
  readonly masked: boolean
  /** Name of the field whose value comes next. */
  next: string | undefined
}

/**
 * The JSON as it stands, byte for byte (its layout, repeated fields, numbers that no program can hold), but with strings
 * and numbers that may be personal replaced by {@link MASK}. Structure, `null`, booleans and empty strings stay: they name
 * nobody, and violations often are about them. The name of an item is that of a product.
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
      open.push({
        isObject: token === '{',
        field: fieldOf(inside),
        masked: inside?.masked === true || (PERSONAL.has(fieldOf(inside) ?? '') && !isProduct(open)),
        next: undefined,
      })
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
    inside.next = String(JSON.parse(token))
    return token
  }
  return isHarmless(token) || isShown(inside, open) ? token : JSON.stringify(MASK)
}

function fieldOf(inside: Container | undefined): string | undefined {
  return inside?.isObject ? inside.next : inside?.field
}

function isHarmless(token: string): boolean {
  return token === 'null' || token === 'true' || token === 'false' || token === '""'
}

function isShown(inside: Container | undefined, open: readonly Container[]): boolean {
  if (inside === undefined || inside.masked) return false
  return SHOWN.has(fieldOf(inside) ?? '') || isProduct(open)
}

/** Whether the next value is the name of an item: `/items/N/name`. */
function isProduct(open: readonly Container[]): boolean {
  const [order, items, item] = open
  return (
    open.length === 3 &&
    order?.isObject === true &&
    items?.field === 'items' &&
    !items.isObject &&
    item?.next === 'name'
  )
}
