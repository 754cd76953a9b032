import type { Stream } from './stream.ts'

/** A return as a team would send it. Optional fields are absent, never null. */
export interface ReturnValue {
  readonly return_id: string
  readonly created_at: string
  readonly received_on: string
  readonly reason?: string
  readonly customer: { readonly id: string; readonly email: string; readonly profile: { readonly tier: string } }
  readonly address: { readonly street: string; readonly city: string; readonly zip?: string }
  readonly refund: number
  readonly express: boolean
  readonly lines: readonly ReturnLine[]
}

interface ReturnLine {
  readonly sku: string
  readonly quantity: number
  readonly price: number
  readonly product: { readonly name: string; readonly category?: string }
  readonly opened?: boolean
}

export interface ReturnRecord {
  /** Orders the records of one value. */
  readonly key: Buffer
  readonly value: Buffer
}

export interface Returns {
  readonly records: readonly ReturnRecord[]
  /** By key: the newest valid value. */
  readonly newest: ReadonlyMap<string, ReturnValue>
  /** Those that no table can take. No two are the same. */
  readonly invalid: readonly Buffer[]
}

/** Two of them: the second lacks what is optional. */
export function sampleReturns(): readonly ReturnValue[] {
  const { value } = createReturns(1)
  const full = value({ optional: true })
  return [full, value({ optional: false })]
}

/**
 * Records and what must become of them, worked out from what is sent alone.
 * @param invalidShare updatesShare of the records, from 0 to 1
 */
export function someReturns(count: number, seed: number, invalidShare: number, updatesShare: number): Returns {
  const { value, random } = createReturns(seed)
  const records: ReturnRecord[] = []
  const newest = new Map<string, ReturnValue>()
  const invalid: Buffer[] = []
  const keys: string[] = []
  for (let sent = 0; sent < count; sent++) {
    const known = keys[Math.floor(random() * keys.length)]
    const update = known !== undefined && random() < updatesShare ? { return_id: known } : {}
    const next = { ...value({ optional: random() < 0.5 }), ...update }
    const key = Buffer.from(next.return_id)
    if (random() < invalidShare) {
      const bytes = Buffer.from(BROKEN[invalid.length % BROKEN.length]?.(next) ?? '')
      invalid.push(bytes)
      records.push({ key, value: bytes })
      continue
    }
    if (!newest.has(next.return_id)) keys.push(next.return_id)
    newest.set(next.return_id, next)
    records.push({ key, value: Buffer.from(JSON.stringify(next)) })
  }
  return { records, newest, invalid }
}

/** Each breaks another rule that the samples teach; some have the key of a return that is stored. */
const BROKEN: readonly ((value: ReturnValue) => string)[] = [
  value => JSON.stringify(value).slice(0, -2),
  ({ customer: _, ...value }) => JSON.stringify(value),
  value => JSON.stringify({ ...value, refund: 'much' }),
  value => JSON.stringify({ ...value, created_at: 'yesterday' }),
  value => JSON.stringify({ ...value, return_id: `no uuid ${value.return_id}` }),
  value => JSON.stringify({ ...value, lines: [{ ...value.lines[0], quantity: 1.5 }] }),
  value => JSON.stringify({ ...value, address: { ...value.address, city: 7 } }),
  value => JSON.stringify({ ...value, lines: [{ ...value.lines[0], product: null }] }),
]

/** The same seed gives the same returns. */
function createReturns(seed: number) {
  let state = seed >>> 0
  /** Mulberry32: from 0 to 1, 1 excluded. */
  function random(): number {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (end: number) => Math.floor(random() * end)
  const one = (texts: readonly string[]) => texts[below(texts.length)] ?? ''
  const hex = (digits: number) => Array.from({ length: digits }, () => below(16).toString(16)).join('')
  const money = () => below(100_000) / 100

  function value({ optional }: { optional: boolean }): ReturnValue {
    const day = `2026-0${1 + below(9)}-${10 + below(18)}`
    return {
      return_id: `${hex(8)}-${hex(4)}-4${hex(3)}-9${hex(3)}-${hex(12)}`,
      created_at: `${day}T${10 + below(14)}:${10 + below(50)}:${10 + below(50)}Z`,
      received_on: day,
      ...(optional ? { reason: one(['too small', 'does not "fit"', "it's blue", 'zu groß 👟']) } : {}),
      customer: {
        id: `c-${below(500)}`,
        email: `c${below(500)}@example.com`,
        profile: { tier: one(['gold', 'basic']) },
      },
      address: { street: `Main ${below(90)}`, city: one(['Riga', 'Utrecht']), ...(optional ? { zip: hex(5) } : {}) },
      refund: money() + 0.01,
      express: random() < 0.5,
      lines: Array.from({ length: 1 + below(4) }, () => ({
        sku: `sku-${below(1000)}`,
        quantity: 1 + below(9),
        price: money() + 0.01,
        product: { name: one(['Shoe', 'Lace']), ...(optional ? { category: 'footwear' } : {}) },
        ...(optional ? { opened: random() < 0.5 } : {}),
      })),
    }
  }
  return { value, random }
}

/**
 * The returns that the tables hold, by key. Read by queries of their own, so that a fault of the product's reading side cannot hide one
 * of its writing side.
 */
export async function storedReturns({ query }: Pick<Stream, 'query'>, root: string): Promise<Map<string, unknown>> {
  type Row = Readonly<Record<string, unknown>>
  const roots = await query<Row>(
    `SELECT *, received_on::text AS day, (extract(epoch FROM created_at) * 1000)::float8 AS millis FROM ${root}`,
  )
  const addresses = new Map((await query<Row>(`SELECT * FROM ${root}_address`)).map(row => [row.return_id, row]))
  const lines = Map.groupBy(
    await query<Row>(`SELECT * FROM ${root}_lines ORDER BY return_id, position`),
    ({ return_id }) => return_id,
  )
  return new Map(
    roots.map(row => {
      const address = addresses.get(row.return_id)
      const value = {
        return_id: row.return_id,
        created_at: new Date(Number(row.millis)).toISOString().replace('.000Z', 'Z'),
        received_on: row.day,
        reason: row.reason,
        customer: { id: row.customer_id, email: row.customer_email, profile: { tier: row.customer_profile_tier } },
        address: { street: address?.street, city: address?.city, zip: address?.zip },
        refund: row.refund,
        express: row.express,
        lines: (lines.get(row.return_id) ?? []).map((line, position) => ({
          sku: line.sku,
          quantity: Number(line.quantity),
          price: line.price,
          product: { name: line.product_name, category: line.product_category },
          opened: line.opened,
          ...(line.position === position ? {} : { position: line.position }),
        })),
      }
      // What is NULL was absent.
      return [String(row.return_id), JSON.parse(JSON.stringify(value, (_, field: unknown) => field ?? undefined))]
    }),
  )
}
