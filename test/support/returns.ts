import { systemClock } from '#src/clock.ts'
import { StoreUnavailableError } from '#src/engine/errors.ts'
import { httpNames } from '#src/engine/http-names.ts'
import type { PageQuery, StoredValue } from '#src/engine/value-sql.ts'
import { canonicalInstant, isInstant } from '#src/engine/values/instant.ts'
import { createCache } from '#src/read/cache/cache.ts'
import { createLiveFeed } from '#src/read/http/live-feed.ts'
import type { ReadStream, StreamReading } from '#src/read/http/stream-reading.ts'
import { positionOf } from './http-parts.ts'

/** A stream that is not orders, as the read API sees it: with nothing declared but what every stream must have. */
export const returnsStream: ReadStream = {
  name: 'returns',
  topic: 'returns-of-customers',
  key: '/return_id',
  schema: {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    required: ['return_id', 'created_at', 'lines'],
    properties: {
      return_id: { type: 'string' },
      created_at: { type: 'string', format: 'date-time' },
      customer_id: { type: 'string' },
      address: { type: 'object', properties: { city: { type: 'string' } } },
      lines: { type: 'array', items: { $ref: '#/$defs/line' } },
    },
    $defs: { line: { type: 'object', properties: { sku: { type: 'string' }, quantity: { type: 'integer' } } } },
  },
  isKey: text => text.length > 0 && text.length <= 64 && !text.includes('\0'),
  http: httpNames('returns'),
  queries: {
    list: {
      by: ['customer_id'],
      canonicalDate: text => (isInstant(text) ? canonicalInstant(text) : undefined),
    },
  },
}

export interface Return {
  readonly return_id: string
  readonly created_at: string
  readonly customer_id?: string
  readonly lines: readonly { readonly sku: string; readonly quantity: number }[]
}

export function aReturn(id: string, rest: Partial<Return> = {}): Return {
  const lines = [
    { sku: 'shoe-42', quantity: 1 },
    { sku: 'lace', quantity: 2 },
  ]
  return { return_id: id, created_at: '2024-05-01T08:30:00Z', customer_id: 'anna', lines, ...rest }
}

export interface MemoryReturns extends StreamReading {
  store(...values: readonly Return[]): void
}

/** Returns in memory; what the API takes is stored at once. */
export function memoryReturns(stream: ReadStream = returnsStream): MemoryReturns {
  const stored = new Map<string, StoredValue>()
  const cache = createCache({
    maxBytes: 1 << 20,
    ttlMs: 0,
    reader: {
      async read(key) {
        if (key === 'away') throw new StoreUnavailableError('connection refused')
        return stored.get(key)
      },
      async *newest() {},
    },
  })
  const feed = createLiveFeed({ clock: systemClock, names: stream.http })
  let offset = 0n

  function store(...values: readonly Return[]): void {
    const written = values.map(value => {
      offset += 1n
      const origin = { topic: stream.topic, partition: 0, offset, timestampMs: 0 }
      return { key: value.return_id, json: Buffer.from(JSON.stringify(value)), origin }
    })
    for (const value of written) stored.set(value.key, value)
    cache.put(written)
    feed.publish(written, value => value)
  }

  return {
    stream,
    cache,
    feed,
    store,
    catalog: { page: async query => ({ values: pageOf([...stored.values()], query), next: undefined }) },
    outcomes: { outcomeOf: async key => ({ kind: stored.has(key) ? 'stored' : 'pending' }) },
    deadLetters: { ofKey: async () => undefined, allOfKey: async () => [] },
    positions: { of: async key => positionOf(stored.get(key)) },
    intake: {
      maxBytes: 64 * 1024,
      judge(bytes) {
        const value = JSON.parse(bytes.toString())
        return { ok: true, key: value.return_id, value }
      },
      async publish(_key, bytes) {
        store(JSON.parse(bytes.toString()))
        return { topic: stream.topic, partition: 0, offset, timestampMs: 0 }
      },
    },
  }
}

function pageOf(values: readonly StoredValue[], { by, limit }: PageQuery): StoredValue[] {
  const matches = ({ json }: StoredValue) =>
    Object.entries(by).every(([name, wanted]) => Reflect.get(JSON.parse(json.toString()), name) === wanted)
  return values.filter(matches).toReversed().slice(0, limit)
}
