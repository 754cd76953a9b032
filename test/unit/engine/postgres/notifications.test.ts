import { expect, it } from 'vitest'
import { payloadsOf, readNotice } from '#src/engine/postgres/notifications.ts'

const SENDER = '0b0c7f1e-3f6a-4b7e-9f0e-1d2c3b4a5968'
const LIMIT_BYTES = 8_000

it('puts many uids into few payloads, each below the limit of Postgres, and loses none', () => {
  const uids = Array.from({ length: 1_000 }, (_, i) => `${i}-`.padEnd(64, 'x'))
  const payloads = payloadsOf(SENDER, 'orders', uids)
  expect(payloads.length).toBeLessThan(10)
  for (const payload of payloads) expect(Buffer.byteLength(payload)).toBeLessThan(LIMIT_BYTES)
  const notices = payloads.map(readNotice)
  expect(notices.flatMap(notice => notice.keys)).toEqual(uids)
  expect(notices.every(({ sender, stream }) => sender === SENDER && stream === 'orders')).toBe(true)
})

it('counts bytes and not characters', () => {
  const payloads = payloadsOf(
    SENDER,
    'orders',
    Array.from({ length: 300 }, () => 'ж'.repeat(64)),
  )
  for (const payload of payloads) expect(Buffer.byteLength(payload)).toBeLessThan(LIMIT_BYTES)
})

it('says that anything may have changed when a uid does not fit', () => {
  const [payload, ...more] = payloadsOf(SENDER, 'orders', ['a', 'x'.repeat(8_000)])
  expect(more).toEqual([])
  expect(readNotice(payload ?? 'none')).toEqual({ sender: undefined, stream: undefined, keys: 'all' })
})

it.each([
  ...[
    '',
    'flush',
    '{}',
    '[]',
    '["cut',
    '{"sender":"a","stream":"b","keys":[]}',
    '{"sender":"a","stream":"b","keys":[1]}',
  ],
  ...['{"sender":"a","keys":["k"]}', '["the sender and the keys of an earlier version", "k"]'],
])('takes what it cannot read for "anything may have changed": %j', payload => {
  expect(readNotice(payload)).toEqual({ sender: undefined, stream: undefined, keys: 'all' })
})
