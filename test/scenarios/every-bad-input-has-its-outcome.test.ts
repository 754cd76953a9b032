import { describe, expect, it } from 'vitest'
import { headerText, writeHeaders } from '#src/engine/headers.ts'
import { badInputs, MAX_BYTES } from '../support/bad-inputs.ts'
import { addedText, type OpenedDeadLetter, openDeadLetter } from '../support/dead-letters.ts'
import { awkwardHeaders, goodInputs } from '../support/good-inputs.ts'
import { differences } from '../support/model.ts'
import { anOrder } from '../support/orders.ts'
import { aHeader } from '../support/records.ts'
import { aRedrive } from '../support/redrives.ts'
import { ask, eventually, startService } from '../support/service.ts'
import { aStream, type ProducedRecord, streamTools, totalOf } from '../support/stream.ts'

streamTools()

/** Half of the records of row 67 come before the bad one. */
const GOOD_AROUND = 499
const anyBytes = Buffer.from([0x00, 0xff, 0x7b])
const json = (value: unknown) => Buffer.from(JSON.stringify(value))

const bad: readonly (ProducedRecord & { readonly name: string; readonly reason: string; readonly error: string })[] = [
  ...badInputs.map(input => ({ ...input, key: Buffer.from(input.name), headers: [aHeader('row', input.name)] })),
  {
    ...{ name: '66: headers of every kind', value: anyBytes, key: anyBytes, headers: awkwardHeaders },
    ...{ reason: 'malformed_json', error: 'not_utf8', pointer: '' },
  },
]

/** What the first test saw; the others hold each case against it. */
const seen = {
  answers: new Map<string, { readonly status: number; readonly body: string }>(),
  letters: new Map<string, OpenedDeadLetter>(),
  differences: [] as string[],
  outcomes: {} as Record<string, number>,
}

it('settles all of them in one run, and the process lives', async () => {
  // Given all inputs in one topic, and a few records that only mean something together
  const stream = await aStream({ partitions: 3 })
  const around = Array.from({ length: GOOD_AROUND }, (_, i) => ({ value: json(anOrder({ uid: `around-${i}` })) }))
  const versions = (uid: string) => [1, 2].map(amount => ({ value: json(anOrder({ uid, amount })), partition: 1 }))
  const twice = versions('twice')
  const other = { ...anOrder({ uid: 'twice', amount: 2 }), customer_id: 'another', track_number: 'ANOTHER' }
  const [first, second] = versions('again')
  if (first === undefined || second === undefined) throw new Error('two versions were asked for')
  const places = await stream.produce([
    first,
    second,
    ...bad.map((each, i) => ({ ...each, partition: i % 3 })),
    ...goodInputs.map((each, i) => ({ ...each, partition: i % 3 })),
    ...around.slice(0, GOOD_AROUND / 2).map(each => ({ ...each, partition: 2 })),
    { value: anyBytes, key: Buffer.from('67'), partition: 2 },
    ...around.slice(GOOD_AROUND / 2).map(each => ({ ...each, partition: 2 })),
    ...twice,
    { value: json(other), partition: 1 },
  ])
  const redelivered = (index: number): ProducedRecord['headers'] => {
    const { partition, offset } = places[index] ?? { partition: -1, offset: -1n }
    return writeHeaders({
      id: { topic: stream.topic, partition, offset },
      timestamp: 1_700_000_000_000,
      redriveId: 'r1',
    })
  }
  const ids = [0, 1].map(index => `${stream.topic}-${places[index]?.partition}-${places[index]?.offset}`)
  await aRedrive(stream, 'r1', ...ids)
  await stream.produce([
    { ...second, headers: redelivered(1) ?? [] },
    { ...first, headers: redelivered(0) ?? [] },
  ])
  const total = bad.length + 1 + goodInputs.length + GOOD_AROUND + 7

  // When one service reads them
  const service = await startService({ ...stream, env: { RECORD_MAX_BYTES: String(MAX_BYTES) } })
  await eventually(async () => (await stream.settled()) === total, 'all of them being settled')

  // Then it is alive, and everything is accounted for
  expect((await ask(service, '/livez')).status).toBe(200)
  await eventually(async () => (await stream.committed()) === total, 'the commits')
  expect(await stream.findings()).toEqual([])
  for (const { uid } of goodInputs) seen.answers.set(uid, await ask(service, `/order/${uid}`))
  seen.answers.set('twice', await ask(service, '/order/twice'))
  seen.answers.set('again', await ask(service, '/order/again'))
  const letters = await stream.readAll(stream.dlqTopic)
  for (const letter of letters)
    seen.letters.set(headerText(letter, 'row') ?? String(letter.key), openDeadLetter(letter))
  expect(letters.length).toBe(bad.length + 1)
  const orders = new Map([...goodInputs.map(each => each.expected), other].map(order => [order.order_uid, order]))
  for (let i = 0; i < GOOD_AROUND; i++) orders.set(`around-${i}`, anOrder({ uid: `around-${i}` }))
  orders.set('again', anOrder({ uid: 'again', amount: 2 }))
  seen.differences = await differences(stream, { orders })
  seen.outcomes = { ...totalOf(await stream.ledger()) }
  expect(await service.stop()).toBe(0)
})

describe('becomes a dead letter, byte for byte', () => {
  it.each(bad)('$name', ({ name, key, value, headers, ...expected }) => {
    const letter = seen.letters.get(name) ?? seen.letters.get(String(key))
    if (letter === undefined) throw new Error('it is not in the DLQ topic')
    expect(letter.original.key).toEqual(key)
    expect(letter.original.value?.equals(value as Buffer) ?? value === null).toBe(true)
    expect(letter.original.headers).toEqual(headers)
    const { reason, error, pointer } = expected as (typeof badInputs)[number]
    expect(addedText(letter, 'reason')).toBe(reason)
    expect(addedText(letter, 'error')).toBe(error)
    expect(addedText(letter, 'pointer')).toBe(pointer)
    expect(addedText(letter, 'message')).toMatch(/^.{5,1024}$/)
  })

  it('67: one among 499 good ones, all of which are stored', () => {
    expect(seen.letters.get('67')?.original.value).toEqual(anyBytes)
    expect(seen.differences.filter(difference => difference.startsWith('around-'))).toEqual([])
  })
})

describe('is stored, and read back equal', () => {
  it.each(goodInputs)('$name', ({ uid, expected }) => {
    const { status, body } = seen.answers.get(uid) ?? { status: 0, body: '' }
    expect(status).toBe(200)
    expect(JSON.parse(body)).toEqual(expected)
    expect(seen.differences.filter(difference => difference.startsWith(`${uid} `))).toEqual([])
  })

  it('60, 63: of two versions the newer one, whatever it changes', () => {
    expect(JSON.parse(seen.answers.get('twice')?.body ?? '')).toMatchObject({
      ...{ customer_id: 'another', track_number: 'ANOTHER' },
    })
  })

  it('61, 62: a redelivery as a duplicate, and an older version as stale, neither with an effect', () => {
    expect(JSON.parse(seen.answers.get('again')?.body ?? '')).toMatchObject({ payment: { amount: 2 } })
    expect(seen.outcomes).toMatchObject({ duplicate: 1, stale: 1, dead_lettered: bad.length + 1 })
    expect(seen.differences).toEqual([])
  })
})
