import { segmentsOf } from './pointer.ts'
import type { ObjectPlace, Place } from './scan/places.ts'

/** Places that a function reads of a value, by the names on the way; `*` stands for the entries of an array, `true` for all that is below. */
export type Reads = ReadonlyMap<string, Reads> | true

export function readsOf(pointers: readonly string[]): Reads {
  const root = new Map<string, Reads>()
  for (const pointer of pointers) add(root, segmentsOf(pointer))
  return root
}

function add(reads: Map<string, Reads>, [name, ...rest]: readonly string[]): void {
  if (name === undefined) return
  const below = reads.get(name)
  if (below === true) return
  if (rest.length === 0) reads.set(name, true)
  else {
    const inner = new Map(below)
    add(inner, rest)
    reads.set(name, inner)
  }
}

/** A copy of the value with these places alone, in their order. */
export function pick(value: unknown, reads: Reads): unknown {
  if (reads === true || typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(entry => pick(entry, reads.get('*') ?? true))
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, part]) => {
      const inner = reads.get(name)
      return inner === undefined ? [] : [[name, pick(part, inner)]]
    }),
  )
}

/** What a scan lays out, with these places alone: `pick` of the value that is made of it. */
export function restrict(root: ObjectPlace, reads: Reads): ObjectPlace {
  return reads === true ? root : (restricted(root, reads) as ObjectPlace)
}

function restricted(place: Place, reads: Reads): Place {
  if (reads === true) return place
  if (place.kind === 'array') return { ...place, entries: restricted(place.entries, reads.get('*') ?? true) }
  if (place.kind !== 'object') return place
  const members = place.members.flatMap(member => {
    const inner = reads.get(member.name)
    return inner === undefined ? [] : [{ ...member, place: restricted(member.place, inner) }]
  })
  return { ...place, members }
}
