import type { Random } from './random.ts'
import type { ObjectShape, Shape } from './shape.ts'

type Fields = Readonly<Record<string, unknown>>

/** One way to get a record wrong. */
export interface Fault {
  readonly name: string
  /** @param value a valid one @returns the bytes of a record; `undefined` where the value has nothing to spoil in this way */
  readonly spoil: (value: Fields, random: Random) => Buffer | null | undefined
}

/** The ways in which producers fail in practice, whatever the schema. `too_large` is left out: the broker itself refuses it by default. */
export function faultsOf(shape: ObjectShape): readonly Fault[] {
  return [...ANYWHERE, ...inFields(shape)]
}

const ANYWHERE: readonly Fault[] = [
  { name: 'a tombstone', spoil: () => null },
  { name: 'zero bytes', spoil: () => Buffer.alloc(0) },
  { name: 'blank', spoil: () => Buffer.from('  \n') },
  {
    name: 'cut short',
    spoil(value, random) {
      const bytes = bytesOf(value)
      return bytes.subarray(0, random.between(1, bytes.length - 1))
    },
  },
  { name: 'something after it', spoil: value => Buffer.from(`${JSON.stringify(value)} trailing`) },
  { name: 'two in one record', spoil: value => Buffer.from(`${JSON.stringify(value)}\n${JSON.stringify(value)}`) },
  { name: 'UTF-16', spoil: value => Buffer.from(`\ufeff${JSON.stringify(value)}`, 'utf16le') },
  { name: 'a compressed body', spoil: (_, random) => Buffer.from(`1f8b0800${random.hex(200)}`, 'hex') },
  { name: 'an array', spoil: value => bytesOf([value]) },
  { name: 'a bare text', spoil: () => bytesOf('a value') },
  {
    name: 'nested too deep',
    spoil: value => Buffer.from(`${JSON.stringify(value).slice(0, -1)},"x":${'['.repeat(64)}${']'.repeat(64)}}`),
  },
]

/** A fault for each field of the value itself, and of the objects in it. The validator decides whether it violates the schema. */
function inFields(shape: ObjectShape, path: readonly string[] = []): Fault[] {
  return [...shape.members].flatMap(([name, member]): Fault[] => {
    const place = [...path, name]
    const faults = spoiled(member.shape).map(([what, change]) => at(place, what, change))
    if (member.required) faults.push({ name: `no ${place.join('.')}`, spoil: value => bytesOf(without(value, place)) })
    return member.shape.kind === 'object' ? [...faults, ...inFields(member.shape, place)] : faults
  })
}

type Change = (value: unknown) => unknown

function spoiled(shape: Shape): [what: string, change: Change][] {
  switch (shape.kind) {
    case 'string':
      return [
        ['a number for a text', () => 5],
        ['NUL in', value => `${value}\u0000`],
        ['half a surrogate pair in', value => `${value} \ud83d`],
        ...(shape.format === 'date-time'
          ? ([['a day that never was for', () => '2024-02-30T12:00:00Z']] satisfies [string, Change][])
          : []),
      ]
    case 'integer':
      return [
        ['a text for a number', value => String(value)],
        ['a fraction for', value => Number(value) + 0.5],
        ['more than 2^53 for', () => 2 ** 53],
      ]
    case 'number':
      return [['a text for a number', value => String(value)]]
    case 'boolean':
      return [['a text for a boolean', value => String(value)]]
    case 'array':
      return [['an object for an array', value => ({ ...(value as object) })]]
    case 'object':
      return [['a text for an object', () => 'x']]
    case 'any':
      return []
  }
}

function at(path: readonly string[], what: string, change: Change): Fault {
  return {
    name: `${what} ${path.join('.')}`,
    spoil(value) {
      const spoiled = changed(value, path, change)
      return spoiled === undefined ? undefined : bytesOf(spoiled)
    },
  }
}

/** @returns `undefined` where the value has no such place */
function changed(value: Fields, [name = '', ...path]: readonly string[], change: Change): Fields | undefined {
  if (!Object.hasOwn(value, name)) return undefined
  const inner = value[name]
  if (path.length === 0) return { ...value, [name]: change(inner) }
  if (typeof inner !== 'object' || inner === null) return undefined
  const spoiled = changed(inner as Fields, path, change)
  return spoiled && { ...value, [name]: spoiled }
}

function without(value: Fields, [name = '', ...path]: readonly string[]): Fields {
  const { [name]: inner, ...others } = value
  if (path.length === 0 || typeof inner !== 'object' || inner === null) return others
  return { ...value, [name]: without(inner as Fields, path) }
}

/** JSON.stringify escapes NUL and lone surrogates, so that they arrive as they were meant. */
function bytesOf(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}
