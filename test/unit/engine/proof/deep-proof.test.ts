import { describe, expect, it } from 'vitest'
import { type DeepRange, type DeepRows, deepProof, type LetterFacts } from '#src/engine/proof/deep-proof.ts'
import type { RedriveFacts } from '#src/engine/provenance.ts'
import { compareOrigins, type Origin, originId, type SourceRecord } from '#src/engine/record.ts'
import type { Verdict } from '#src/engine/verdict.ts'
import { aHeader, aRecord } from '../../../support/records.ts'

interface Value {
  readonly uid: string
  readonly amount: number
}

interface Row {
  readonly value: Value
  readonly origin: Origin
}

/** A value is valid JSON with a uid. */
function judge({ value }: Pick<SourceRecord, 'value'>): Verdict<Value> {
  try {
    const read = JSON.parse(String(value)) as Value
    return { ok: true, key: read.uid, value: read }
  } catch {
    const rejection = { reason: 'malformed_json', error: '', pointer: '', message: '', violations: [] } as const
    return { ok: false, key: null, rejection }
  }
}

function aValue(uid: string, amount = 1): string {
  return JSON.stringify({ uid, amount })
}

interface Scene {
  readonly records: readonly SourceRecord[]
  /** Default: what the stale guard makes of the records. */
  readonly rows?: ReadonlyMap<string, Row>
  readonly letters?: Readonly<Record<string, LetterFacts>>
  readonly redrives?: Readonly<Record<string, RedriveFacts>>
  readonly erased?: readonly string[]
  readonly passedOver?: DeepRange['passedOver']
  readonly from?: bigint
  readonly beforeMove?: boolean
  /** Called before the rows of a batch are looked at. */
  readonly meanwhile?: (rows: Map<string, Row>) => void
  readonly onRead?: (offsets: number) => void
}

/** Applies the records in their order, as the pipeline would. */
function rowsOf(records: readonly SourceRecord[]): Map<string, Row> {
  const rows = new Map<string, Row>()
  for (const record of records) {
    const verdict = judge(record)
    if (!verdict.ok) continue
    const known = rows.get(verdict.key)
    if (known !== undefined && compareOrigins(record, known.origin) !== 'newer') continue
    rows.set(verdict.key, { value: verdict.value, origin: record })
  }
  return rows
}

async function prove(scene: Scene) {
  const rows = new Map(scene.rows ?? rowsOf(scene.records))
  const wanted = new Set(scene.records.map(({ partition }) => partition))
  const ranges = [...wanted].map((partition): DeepRange => {
    return { partition, from: scene.from ?? 0n, to: 1_000n, passedOver: scene.passedOver ?? [] }
  })
  const entries = (uids: readonly string[]) => uids.flatMap(uid => (rows.has(uid) ? [uid] : []))
  const store: DeepRows = {
    async positions(uids) {
      return new Map(entries(uids).map(uid => [uid, rows.get(uid)?.origin as Origin]))
    },
    async values(uids) {
      return new Map(
        entries(uids).map(uid => {
          const { value, origin } = rows.get(uid) as Row
          return [uid, { key: uid, json: Buffer.from(JSON.stringify(value)), origin }]
        }),
      )
    },
    async letters(ids) {
      const known = Object.entries(scene.letters ?? {}).filter(([id]) => ids.includes(id))
      scene.meanwhile?.(rows)
      return new Map(known)
    },
    redrives: async () => new Map(Object.entries(scene.redrives ?? {})),
    erased: async uids => new Set(uids.filter(uid => scene.erased?.includes(uid))),
    async *pages() {
      const ours = [...rows].filter(([, { origin }]) => origin.topic === 'orders')
      yield ours.map(([uid, { origin }]) => ({
        key: uid,
        partition: origin.partition,
        offset: origin.offset,
        beforeMove: scene.beforeMove ?? false,
      }))
    },
    foreign: async () => [...rows.values()].filter(({ origin }) => origin.topic !== 'orders').length,
  }
  return await deepProof({
    stream: 'orders',
    topic: 'orders',
    ranges,
    async *read({ partition, from, to }) {
      yield* scene.records.filter(({ partition: p, offset }) => p === partition && offset >= from && offset < to)
    },
    judge,
    toJson: value => Buffer.from(JSON.stringify(value)),
    rows: store,
    ...(scene.onRead === undefined ? {} : { onRead: scene.onRead }),
  })
}

const found = async (scene: Scene) =>
  (await prove(scene)).findings.map(({ partition, offset, what }) => `${partition}-${offset}: ${what}`)

/** Two versions of `a`, one of `b`, something broken. */
const RECORDS = [
  aRecord({ offset: 0n, text: aValue('a') }),
  aRecord({ offset: 1n, text: aValue('b') }),
  aRecord({ offset: 2n, text: 'broken' }),
  aRecord({ offset: 3n, text: aValue('a', 2) }),
]

function altered(uid: string, change: (row: Row) => Row | undefined): Map<string, Row> {
  const rows = rowsOf(RECORDS)
  const row = change(rows.get(uid) as Row)
  if (row === undefined) rows.delete(uid)
  else rows.set(uid, row)
  return rows
}

describe('a deep proof', () => {
  it('holds each row against the newest valid record of its key', async () => {
    const proof = await prove({ records: RECORDS })
    expect(proof).toEqual({ records: 4, compared: 2, edited: 0, elsewhere: 0, unknown: 0, erased: 0, findings: [] })
  })

  it.each([
    {
      what: 'an altered value',
      rows: altered('a', row => ({ ...row, value: { uid: 'a', amount: 666 } })),
      expected: '0-3: value a of orders is not what its record says, in /amount',
    },
    {
      what: 'an altered timestamp',
      rows: altered('b', row => ({ ...row, origin: { ...row.origin, timestampMs: 5 } })),
      expected: `0-1: value b of orders has the timestamp 5, its record has ${RECORDS[1]?.timestampMs}`,
    },
    {
      what: 'a row at an older position, with the older value',
      rows: altered('a', () => ({ value: { uid: 'a', amount: 1 }, origin: RECORDS[0] as Origin })),
      expected: '0-3: value a of orders stands at 0-0, older than its record',
    },
    {
      what: 'a missing row, once',
      rows: altered('a', () => undefined),
      expected: '0-0: value a of orders is missing: its record was settled',
    },
    {
      what: "a row that claims another order's record",
      rows: altered('b', row => ({ ...row, origin: { ...row.origin, offset: 3n } })),
      expected: '0-3: value b of orders claims a record that another value wrote or claims',
    },
    {
      what: 'a row that was set back and not written since',
      rows: altered('b', row => ({ ...row, origin: { ...row.origin, offset: -1n, timestampMs: -1 } })),
      expected: '0-1: value b of orders was set back by verify --repair, and this record has not been read again',
    },
  ])('finds $what', async ({ rows, expected }) => {
    expect(await found({ records: RECORDS, rows })).toEqual([expected])
  })

  it('leaves alone what is younger than the range, or of another topic, or older than the topic reaches back', async () => {
    const rows = rowsOf(RECORDS)
    rows.set('a', { value: { uid: 'a', amount: 9 }, origin: { ...(RECORDS[3] as Origin), offset: 5_000n } })
    rows.set('b', { value: { uid: 'b', amount: 9 }, origin: aRecord({ topic: 'others', timestampMs: 9e12 }) })
    expect(await prove({ records: RECORDS, rows })).toMatchObject({ elsewhere: 2, compared: 0, findings: [] })
    expect(await prove({ records: RECORDS, from: 3n })).toMatchObject({ elsewhere: 1, compared: 1, findings: [] })
  })

  it('tells which of two rows claims a record rightly', async () => {
    const rows = rowsOf(RECORDS)
    const wrong = { value: { uid: 'A', amount: 1 }, origin: RECORDS[1] as Origin }
    expect(await found({ records: RECORDS, rows: new Map([['A', wrong], ...rows]), beforeMove: true })).toEqual([])
    expect(await found({ records: RECORDS, rows: new Map([...rows, ['A', wrong]]) })).toEqual([
      '0-1: value A of orders claims a record that another value wrote or claims',
    ])
  })

  it('does not blame a row for what stands at its position now, when the partition was moved back since', async () => {
    const rows = altered('b', row => ({ ...row, origin: { ...row.origin, offset: 3n } }))
    expect(await prove({ records: RECORDS, rows, beforeMove: true })).toMatchObject({ findings: [], unknown: 1 })
  })

  it.each([
    { kind: 'set_aside', counted: { unknown: 0 } },
    { kind: 'purged', counted: { unknown: 1 } },
  ] as const)('does not miss a valid record that became a dead letter ($kind)', async ({ kind, counted }) => {
    const letters = { 'orders-0-1': { kind, edits: [] } }
    const rows = altered('b', () => undefined)
    expect(await prove({ records: RECORDS, rows, letters })).toMatchObject({ findings: [], ...counted })
    const applied = { 'orders-0-1': { kind: 'applied', edits: [] } } as const
    expect(await found({ records: RECORDS, rows, letters: applied })).toHaveLength(1)
  })

  it('counts what is read in offsets, those without a record too', async () => {
    const read: number[] = []
    const [first, , third] = RECORDS
    await prove({
      records: [first, third].filter(record => record !== undefined),
      onRead: offsets => read.push(offsets),
    })
    expect(read).toEqual([3, 1_000])
  })

  it('does not miss what was removed on purpose, nor what was passed over', async () => {
    const rows = altered('b', () => undefined)
    expect(await prove({ records: RECORDS, rows, erased: ['b'] })).toMatchObject({ findings: [], erased: 1 })
    expect(await found({ records: RECORDS, rows, passedOver: [{ from: 1n, to: 2n }] })).toEqual([])
  })

  it('takes what an operator redrove for the value, of an invalid record and of a valid one', async () => {
    const edits = [Buffer.from(aValue('b', 7))]
    const letters = { 'orders-0-1': { kind: 'applied', edits }, 'orders-0-2': { kind: 'applied', edits } } as const
    const valid = altered('b', row => ({ ...row, value: { uid: 'b', amount: 7 } }))
    expect(await prove({ records: RECORDS, rows: valid, letters })).toMatchObject({ findings: [], edited: 1 })
    const invalid = altered('b', row => ({ origin: { ...row.origin, offset: 2n }, value: { uid: 'b', amount: 7 } }))
    expect(await prove({ records: RECORDS, rows: invalid, letters })).toMatchObject({ findings: [], edited: 1 })
    const neither = altered('b', row => ({ origin: { ...row.origin, offset: 2n }, value: { uid: 'b', amount: 8 } }))
    expect(await found({ records: RECORDS, rows: neither, letters })).toEqual([
      '0-2: value b of orders is not what its dead letter was redriven with',
    ])
  })

  it('counts a redriven record with its first position, if that redrive is one', async () => {
    const headers = [
      aHeader('holdfast.id', 'orders-0-0'),
      aHeader('holdfast.timestamp', '1'),
      aHeader('holdfast.replay-id', 'r1'),
    ]
    const redriven = aRecord({ offset: 4n, text: aValue('a', 3), headers })
    const records = [...RECORDS, redriven]
    const rows = rowsOf(RECORDS)
    const known = { redriveCount: 1, timestampMs: 1, nextOffset: undefined }
    const purged = { ...known, timestampMs: undefined }
    const claim = `r1 ${originId(RECORDS[0] as Origin)}`
    expect(await found({ records, rows, redrives: { [claim]: known } })).toEqual([])
    // Of one that was purged nobody knows: the row may stand at either place.
    expect(await found({ records, rows, redrives: { [claim]: purged } })).toEqual([])
    expect(await found({ records, rows: rowsOf(records), redrives: { [claim]: purged } })).toEqual([])
    expect(await found({ records, rows })).toEqual(['0-4: value a of orders stands at 0-3, older than its record'])
  })

  it('lets the timestamp decide between partitions, as the stale guard did', async () => {
    const other = (timestampMs: number) => aRecord({ partition: 1, offset: 0n, timestampMs, text: aValue('b', 5) })
    const first = aRecord({ offset: 0n, timestampMs: 100, text: aValue('b') })
    const second = aRecord({ offset: 1n, timestampMs: 10, text: aValue('b', 2) })
    const rows = (record: SourceRecord, amount: number) =>
      new Map([['b', { origin: record, value: { uid: 'b', amount } }]])
    // An older or equally old record of another partition changes nothing.
    expect(await found({ records: [first, other(100)], rows: rows(first, 1) })).toEqual([])
    // A younger one would have replaced it ...
    expect(await found({ records: [first, other(101)], rows: rows(first, 1) })).toEqual([
      '1-0: value b of orders stands at 0-0, older than its record',
    ])
    // ... and nothing is to be known of the row's own partition where it is equally old.
    const behind = aRecord({ offset: 6n, timestampMs: 100, text: aValue('c') })
    const equal = { ...other(100), offset: 6n }
    expect(
      await prove({ records: [behind, equal], rows: new Map([...rows(first, 1), ...rowsOf([behind])]), from: 5n }),
    ).toMatchObject({ findings: [], unknown: 0 })
    // ... but not while an earlier version, younger still, stood there.
    expect(await found({ records: [first, second, other(50)], rows: rows(second, 2) })).toEqual([])
  })

  it('looks once more at what a redrive settles meanwhile', async () => {
    const rows = altered('b', () => undefined)
    const letters = { 'orders-0-1': { kind: 'applied', edits: [] } } as const
    const meanwhile = (stored: Map<string, Row>) => void stored.set('b', rowsOf(RECORDS).get('b') as Row)
    expect(await prove({ records: RECORDS, rows, letters, meanwhile })).toMatchObject({ findings: [] })
  })

  it('names some of many, each order once, and counts the rest', async () => {
    const records = Array.from({ length: 60 }, (_, i) => aRecord({ offset: BigInt(i), text: aValue(`o${i % 30}`) }))
    const list = await found({ records, rows: new Map() })
    expect(list).toHaveLength(21)
    expect(list.at(-1)).toMatch(/and 10 of the same kind/)
  })
})
