import type { Stream } from '#src/engine/stream.ts'

export interface Sent {
  readonly key: Buffer | null
  readonly value: Buffer | null
}

/** Records of the stream's generator. */
export function recordsOf(stream: Stream, count: number, invalidRatio = 0): Sent[] {
  const generator = stream.createGenerator({ seed: 11, invalidRatio, updatesRatio: 0.1 })
  return Array.from({ length: count }, () => generator.next())
}

/** The same with at most three entries in each array: a generator without a model makes up to a hundred. */
export function short({ key, value }: Sent): Sent {
  const cut = (_: string, inner: unknown) => (Array.isArray(inner) ? inner.slice(0, 3) : inner)
  return { key, value: Buffer.from(JSON.stringify(JSON.parse(String(value)), cut)) }
}
