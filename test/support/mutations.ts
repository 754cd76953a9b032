import fc from 'fast-check'
import { type Order, parseInstant } from './order.ts'
import { anOrder, modelOrder } from './orders.ts'

/** Values that commonly break services. */
const ODD: readonly unknown[] = [
  ...[null, true, false, '', ' ', [], {}, [[]], [null], { order_uid: 'x' }],
  ...[0, -1, 0.5, 1e21, 2 ** 31, 2 ** 53, 2 ** 63, -(2 ** 63), Number.MAX_VALUE, Number.MIN_VALUE],
  ...[
    '\u0000',
    '\ud800',
    '\udfff\ud800',
    '\u202e',
    '😀',
    'é',
    'e\u0301',
    '\ufeff',
    '\ufffe',
    '\u2028',
    'x'.repeat(2_000),
  ],
  ...['100', '1e3', 'NaN', 'null', '__proto__', 'constructor', "'; --", '<b>', '%00', '../..', '2024-02-30T00:00:00Z'],
  ...['infinity', 'tomorrow', '0000-01-01T00:00:00Z', '9999-12-31T23:59:60Z', '1970-01-01 00:00:00.9999999z'],
]
/** As text, because JSON.stringify would never write them. */
const ODD_TEXTS = [
  ...['NaN', '-Infinity', '1e400', '-1e400', '1E3', '1.0', '-0', '-0.0', '01', '+1', '.5', '1.', '0x10', '1_000'],
  ...[
    '9007199254740993',
    '9223372036854775808',
    '1e-400',
    '9'.repeat(400),
    'undefined',
    "'x'",
    '"\\u0000"',
    '"\\ud800"',
  ],
  ...[
    '"\\x41"',
    '"\u0007"',
    '/* */1',
    '[,]',
    '{,}',
    '['.repeat(40) + ']'.repeat(40),
    `${'{"a":'.repeat(40)}1${'}'.repeat(40)}`,
  ],
]
const ODD_KEYS = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  '',
  '\u0000',
  '0',
  'order_uid',
  'items',
]

type Tree = Record<string, unknown>
type Step<T> = fc.Arbitrary<(before: T) => T>

/** The objects and arrays in a value, itself first. */
function nodes(value: unknown): Tree[] {
  if (typeof value !== 'object' || value === null) return []
  return [value as Tree, ...Object.values(value).flatMap(nodes)]
}

/** Deep in one place of the tree: `change` gets one of its objects or arrays, and the name of one of its fields. */
function somewhere(change: (node: Tree, field: string) => void): fc.Arbitrary<(tree: Tree) => Tree> {
  return fc.tuple(fc.nat(), fc.nat()).map(([which, what]) => before => {
    const tree = structuredClone(before)
    const all = nodes(tree).filter(node => Object.keys(node).length > 0)
    const node = all[which % all.length]
    const names = Object.keys(node ?? {})
    const name = names[what % names.length]
    if (node !== undefined && name !== undefined) change(node, name)
    return tree
  })
}

/** Changes of the structure: wrong types, missing, odd, deep, huge. */
const structural: Step<Tree> = fc.oneof(
  fc.oneof(fc.constantFrom(...ODD), fc.jsonValue(), fc.string({ unit: 'binary' })).chain(value =>
    somewhere((node, field) => {
      node[field] = value
    }),
  ),
  fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 54n }).map(Number), fc.double({ noNaN: true })).chain(value =>
    somewhere((node, field) => {
      if (typeof node[field] === 'number') node[field] = value
    }),
  ),
  somewhere((node, field) => delete node[field]),
  somewhere((node, field) => {
    node[field] = [node[field]]
  }),
  somewhere((node, field) => {
    node[field] = String(node[field])
  }),
  fc.nat(60).chain(depth =>
    somewhere(node => {
      let deep: unknown = 0
      for (let i = 0; i < depth; i++) deep = { deep }
      if (!Array.isArray(node)) node.unknown = deep
    }),
  ),
  fc
    .nat(200)
    .map(times => (tree: Tree) => ({ ...tree, items: Array(times).fill((tree.items as unknown[] | undefined)?.[0]) })),
)

/** Changes of the text that a parsed value cannot express: repeated keys, unusual forms of numbers, spaces. */
const textual: Step<string> = fc.oneof(
  fc.tuple(fc.nat(), fc.constantFrom(...ODD_TEXTS)).map(([which, odd]) => (text: string) => {
    const values = [...text.matchAll(/:("[^"]*"|\d+)/g)]
    const at = values[which % Math.max(1, values.length)]
    if (at === undefined) return text
    return `${text.slice(0, at.index + 1)}${odd}${text.slice(at.index + at[0].length)}`
  }),
  fc
    .tuple(fc.nat(), fc.constantFrom(...ODD_KEYS), fc.oneof(fc.constantFrom(...ODD), fc.jsonValue()))
    .map(([which, key, value]) => (text: string) => {
      const braces = [...text.matchAll(/\{(?=")/g)]
      const at = (braces[which % Math.max(1, braces.length)]?.index ?? -1) + 1
      return `${text.slice(0, at)}${JSON.stringify(key)}:${JSON.stringify(value)},${text.slice(at)}`
    }),
  fc.constantFrom('\ufeff', ' ', '\n\t', '\u00a0', ',').map(mark => (text: string) => mark + text),
  fc.constantFrom(' ', '\u0000', '}', '{}', 'null').map(mark => (text: string) => text + mark),
)

/** Changes of the bytes: flipped bits, cuts, insertions. */
const bytewise: Step<Buffer> = fc.oneof(
  fc.tuple(fc.nat(), fc.nat(7)).map(([at, bit]) => (bytes: Buffer) => {
    const changed = Buffer.from(bytes)
    const index = at % Math.max(1, bytes.length)
    changed[index] = (changed[index] ?? 0) ^ (1 << bit)
    return changed
  }),
  fc.tuple(fc.nat(), fc.nat(40)).map(([at, length]) => (bytes: Buffer) => {
    const start = at % Math.max(1, bytes.length)
    return Buffer.concat([bytes.subarray(0, start), bytes.subarray(start + length)])
  }),
  fc.nat().map(at => (bytes: Buffer) => bytes.subarray(0, at % (bytes.length + 1))),
  fc.tuple(fc.nat(), fc.uint8Array({ maxLength: 6 })).map(([at, added]) => (bytes: Buffer) => {
    const start = at % (bytes.length + 1)
    return Buffer.concat([bytes.subarray(0, start), added, bytes.subarray(start)])
  }),
)

function steps<T>(step: Step<T>, maxLength: number): fc.Arbitrary<((before: T) => T)[]> {
  return fc.array(step, { maxLength })
}

/** A valid order, changed in none to some places: of its structure, its text, its bytes. */
export function mutatedOrder(uid: string): fc.Arbitrary<Buffer> {
  const order = fc.nat(3).map(items => anOrder({ uid, items: items + 1 }) as unknown as Tree)
  return fc
    .tuple(order, steps(structural, 2), steps(textual, 1), steps(bytewise, 1))
    .map(([tree, ofTree, ofText, ofBytes]) => {
      const changed = ofTree.reduce((before, step) => step(before), tree)
      const text = ofText.reduce((before, step) => step(before), JSON.stringify(changed))
      return ofBytes.reduce<Buffer>((before, step) => step(before), Buffer.from(text))
    })
}

/** What must be read back of bytes that are stored: their known fields, by a reading of its own. @throws when there is none */
export function expectedOf(value: Buffer): Order {
  const text = new TextDecoder('utf-8', { fatal: true }).decode(value)
  return project(JSON.parse(text), modelOrder) as Order
}

/** The fields of `like`, zeros without a sign. */
function project(value: unknown, like: unknown): unknown {
  if (Array.isArray(like)) return (value as unknown[]).map(each => project(each, like[0]))
  if (typeof like !== 'object' || like === null) return value === 0 ? 0 : value
  return Object.fromEntries(
    Object.entries(like).map(([name, part]) => [name, project((value as Record<string, unknown>)[name], part)]),
  )
}

/** The same order, with its date as an instant: which of its many spellings does not matter. */
export function comparable(order: Order): unknown {
  return { ...order, date_created: parseInstant(order.date_created) }
}
