import { describe, expect, it } from 'vitest'
import { namedOrAll, oneStream } from '#src/cli/streams.ts'
import type { Stream } from '#src/engine/stream.ts'
import { orderStream } from '../../support/streams.ts'

const orders: Stream = orderStream({ KAFKA_TOPIC: 'o', KAFKA_DLQ_TOPIC: 'o.dlq', KAFKA_GROUP_ID: 'g' })
const returns: Stream = { ...orders, name: 'returns', topic: 'returns', dlqTopic: 'returns.dlq', groupId: 'g-returns' }
const both = { streams: [orders, returns] as const }

describe('the stream that a command is about', () => {
  it('is the only one, or the one that is named', () => {
    expect(oneStream({ streams: [returns] }, undefined)).toBe(returns)
    expect(oneStream(both, 'returns')).toBe(returns)
  })

  it('must be named where there are several', () => {
    expect(() => oneStream(both, undefined)).toThrow(
      'there are several streams: say which one with --stream (orders, returns)',
    )
    expect(() => oneStream(both, 'return')).toThrow(
      'there is no stream "return": the streams are orders, returns; did you mean returns?',
    )
  })

  it('is each of them where a command can take all', () => {
    expect(namedOrAll(both, undefined)).toEqual([orders, returns])
    expect(namedOrAll(both, 'orders')).toEqual([orders])
    expect(() => namedOrAll(both, 'x')).toThrow('there is no stream "x"')
  })
})
