import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { startProgress } from '#src/cli/progress.ts'
import { grouped } from '../../../src/engine/grouped.ts'

const CLEAR_LINE = '\r\u001b[2K'

function screen(isTTY: boolean) {
  const written: string[] = []
  const stream = { isTTY, columns: 60, write: (text: string) => written.push(text) > 0 }
  return { stream, written, text: () => written.join('') }
}

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('progress', () => {
  it('is a bar on a terminal, redrawn in place and cut to its width', () => {
    const { stream, written } = screen(true)
    const progress = startProgress({ label: 'produced', stream })
    progress.update({ done: 500, total: 1_000, text: 'x'.repeat(100) })
    vi.advanceTimersByTime(100)
    expect(written).toEqual([
      expect.stringContaining(`${CLEAR_LINE}${'█'.repeat(12)}${'░'.repeat(12)} produced 500 of 1,000 (50%)`),
    ])
    expect(written[0]?.slice(CLEAR_LINE.length)).toHaveLength(59)
    progress.stop()
  })

  it('is not cut on a terminal that does not say how wide it is', () => {
    const { stream, text } = screen(true)
    const progress = startProgress({ label: 'settled', stream: { ...stream, columns: 0 } })
    progress.update({ done: 7, text: 'lag 3' })
    vi.advanceTimersByTime(100)
    expect(text()).toBe(`${CLEAR_LINE}settled 7  lag 3`)
    progress.stop()
  })

  it('is a line every few seconds otherwise, and none without news', () => {
    const { stream, text } = screen(false)
    const progress = startProgress({ label: 'produced', stream })
    progress.update({ done: 1, total: 20 })
    vi.advanceTimersByTime(4_999)
    expect(text()).toBe('')
    vi.advanceTimersByTime(1)
    vi.advanceTimersByTime(20_000)
    expect(text()).toBe('produced 1 of 20 (5%)\n')
    progress.update({ done: 20, total: 20, text: '5/s' })
    progress.stop()
    progress.stop()
    expect(text()).toBe('produced 1 of 20 (5%)\nproduced 20 of 20 (100%)  5/s\n')
  })

  it('claims no share of a total that is exceeded, as when an operator has records read again', () => {
    const { stream, text } = screen(false)
    const progress = startProgress({ label: 'settled', stream })
    progress.update({ done: 33_711, total: 30_768, text: 'lag 1' })
    progress.stop()
    expect(text()).toBe('settled 33,711  lag 1\n')
  })

  it('leaves a line of its own above the bar', () => {
    const { stream, text } = screen(true)
    const progress = startProgress({ label: 'settled', stream })
    progress.update({ done: 7 })
    progress.log('paused: Postgres is away')
    expect(text()).toBe('\r\u001b[2Kpaused: Postgres is away\n\r\u001b[2Ksettled 7')
    progress.stop()
  })

  it('is silent for a program', () => {
    const { stream, text } = screen(true)
    const progress = startProgress({ label: 'produced', stream, silent: true })
    progress.update({ done: 1 })
    progress.log('a line')
    vi.advanceTimersByTime(10_000)
    progress.stop()
    expect(text()).toBe('')
  })

  it.each([
    [0, '0'],
    [999, '999'],
    [1_000, '1,000'],
    [1_234_567, '1,234,567'],
  ])('groups %d as %s', (count, text) => {
    expect(grouped(count)).toBe(text)
  })
})
