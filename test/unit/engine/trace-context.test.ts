import { describe, expect, it } from 'vitest'
import type { Header } from '#src/engine/record.ts'
import { traceIdOf, withTraceparent } from '#src/engine/trace-context.ts'

const TRACE = 'c'.repeat(32)
const GOOD = `00-${TRACE}-${'d'.repeat(16)}-01`
const FRESH = `00-${'e'.repeat(32)}-${'f'.repeat(16)}-00`
const header = (name: string, text: string): Header => [name, Buffer.from(text)]

describe('a traceparent', () => {
  it('has the trace id of version 00, and of versions to come', () => {
    expect(traceIdOf(GOOD)).toBe(TRACE)
    expect(traceIdOf(`${GOOD.replace('00', '42')}-and-more`)).toBe(TRACE)
  })

  it.each([
    ['nothing', ''],
    ['text', 'not a traceparent'],
    ['capitals', GOOD.toUpperCase()],
    ['the forbidden version', GOOD.replace('00', 'ff')],
    ['more than version 00 has', `${GOOD}-more`],
    ['a trace id of zeros', GOOD.replace(TRACE, '0'.repeat(32))],
    ['a span id of zeros', GOOD.replace('d'.repeat(16), '0'.repeat(16))],
    ['a line more', `${GOOD}\n`],
  ])('of %s is none', (_what, text) => {
    expect(traceIdOf(text)).toBeUndefined()
  })
})

describe('headers with a trace context', () => {
  it.each([
    ['good', [header('traceparent', GOOD), header('tracestate', 'x=y')]],
    ['bad', [header('traceparent', 'bad')]],
    ['doubled', [header('traceparent', GOOD), header('traceparent', GOOD)]],
  ])('stay as they are when it is %s', (_what, own) => {
    const headers = [header('a', '1'), ...own, header('a', '2')]
    expect(withTraceparent(headers, () => FRESH)).toBe(headers)
  })

  it('are given one when there is none', () => {
    const headers = withTraceparent([header('a', '1')], () => FRESH)
    expect(headers.map(([name, value]) => `${name}: ${value}`)).toEqual(['a: 1', `traceparent: ${FRESH}`])
  })
})
