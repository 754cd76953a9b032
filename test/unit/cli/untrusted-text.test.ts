import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { table } from '#src/cli/output.ts'
import { startProgress } from '#src/cli/progress.ts'
import { visible, visibleLines } from '#src/engine/visible.ts'
import { letterText } from '#src/inbox/cli/letter-text.ts'
import { endLine } from '#src/inbox/cli/redrive-words.ts'
import type { Redrive } from '#src/inbox/redrive-ports.ts'
import { COMPILED } from '../../support/service.ts'

/** One of each kind that steers a terminal, or that nobody sees. */
const HOSTILE = '\u001b[2J\u0007\r\n\u009b31m\u007f\u202e\u2066\u200b\ufeff\u2028\u061c\u{e0041}\ud800'
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u

describe('text that somebody else wrote', () => {
  it('is shown with what cannot be seen escaped, and is otherwise as it was', () => {
    expect(visible(HOSTILE)).toBe(
      '\\u001b[2J\\u0007\\u000d\\u000a\\u009b31m\\u007f\\u202e\\u2066\\u200b\\ufeff\\u2028\\u061c\\udb40\\udc41\\ud800',
    )
    expect(visible('Ольга 東京 café 😀 "\'\\')).toBe('Ольга 東京 café 😀 "\'\\')
  })

  it('leaves JSON the same JSON, whatever it holds', () => {
    fc.assert(
      fc.property(fc.anything({ withUnicodeString: true } as fc.ObjectConstraints), value => {
        const json = JSON.stringify({ value, hostile: HOSTILE })
        const shown = visibleLines(json, true)
        expect(UNSEEN.test(shown)).toBe(false)
        expect(JSON.parse(shown)).toEqual(JSON.parse(json))
      }),
    )
  })

  it('keeps our own paint and our line ends, and no other sequence', () => {
    const line = `\u001b[31mfound\u001b[39m ${HOSTILE}\u001b[8mhidden`
    const shown = visibleLines(line, true)
    expect(shown.startsWith('\u001b[31mfound\u001b[39m \\u001b[2J')).toBe(true)
    expect(shown.endsWith('\\u001b[8mhidden')).toBe(true)
    expect(shown.split('\n')).toHaveLength(2)
    expect(visibleLines(line, false)).not.toContain('\u001b')
  })
})

describe('what a command shows of records', () => {
  it('is one line for each row of a table, as wide as it looks', () => {
    const shown = table(
      ['id', 'error'],
      [
        [HOSTILE, 'a'],
        ['b', HOSTILE],
      ],
    )
    expect(shown.split('\n')).toHaveLength(3)
    expect(UNSEEN.test(shown.replaceAll('\n', ''))).toBe(false)
    const [header = '', first = ''] = shown.split('\n')
    expect(first.indexOf('a', visible(HOSTILE).length)).toBe(header.indexOf('error'))
  })

  it('holds for a dead letter, wherever in it the text stands', () => {
    const letter = {
      ...{ id: HOSTILE, reason: HOSTILE, error: HOSTILE, pointer: HOSTILE, message: HOSTILE, order_uid: HOSTILE },
      ...{ source_topic: HOSTILE, source_partition: 0, source_offset: '1', group_id: HOSTILE, state: 'open' },
      ...{ source_timestamp: '2026-01-01T00:00:00Z', failed_at: '2026-01-01T00:00:00Z', attempts: 1, bytes: 1 },
      ...{ first_failed_at: '2026-01-01T00:00:00Z', replay_count: 0, dlq_partition: 0, dlq_offset: '1' },
      ...{ written_by: 'spring', replay_id: null },
      violations: [{ pointer: `/${HOSTILE}`, keyword: HOSTILE, message: HOSTILE }],
    } as unknown as Parameters<typeof letterText>[0]['letter']
    for (const text of [HOSTILE, JSON.stringify({ [HOSTILE]: HOSTILE }), `{"a":"${HOSTILE}`]) {
      const shown = letterText({
        letter,
        record: {
          headers: [{ name: HOSTILE, text: HOSTILE }],
          key: { text: HOSTILE, bytes: 1, masked: false },
          value: { text, bytes: 1, masked: false },
        },
        history: [{ at: '2026-01-01T00:00:00Z', what: 'failed', who: HOSTILE, detail: { reason: HOSTILE } }],
        trace: { id: 'a', sampled: true, url: `http://viewer/${HOSTILE}` },
        nowMs: 0,
        paint: (_format, words) => words,
      })
      expect(UNSEEN.test(shown.replaceAll('\n', ''))).toBe(false)
      // Lines of ours alone: none begins with what the record holds.
      for (const line of shown.split('\n')) expect(line).toMatch(/^(?: {2}|> |[A-Z]|\\u001b\[2J|$)/)
    }
  })

  it('holds for progress and for how a redrive ended', () => {
    const written: string[] = []
    const stream = { isTTY: true, columns: 500, write: (text: string) => written.push(text) > 0 }
    const progress = startProgress({ label: 'redriven', stream })
    progress.update({ done: 1, text: HOSTILE })
    progress.log(`waiting: ${HOSTILE}`)
    progress.stop()
    const said = written.join('').replaceAll('\r\u001b[2K', '').replaceAll('\n', '')
    expect(said).toContain('\\u001b[2J')
    expect(UNSEEN.test(said)).toBe(false)
    const failed = { id: 'r1', state: 'failed', error: HOSTILE, skipped_because: {} } as unknown as Redrive
    expect(endLine(failed, 0)).toContain('\\u000d\\u000a\\u009b')
  })

  it('holds for errors and for what was typed', () => {
    const run = (...args: string[]) => {
      try {
        return execFileSync(process.execPath, ['src/cli/main.ts', ...args], {
          cwd: fileURLToPath(new URL('../../..', import.meta.url)),
          env: { PATH: process.env.PATH, NO_COLOR: '1', ...COMPILED },
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'pipe'],
        })
      } catch (error) {
        return error instanceof Error && 'stderr' in error ? String(error.stderr) : ''
      }
    }
    for (const args of [
      [`x${HOSTILE.replace('\ud800', '')}`],
      ['order', 'get', '\u001b[2J\u202e'],
      ['dlq', 'ls', 'x:\u009b\u202e'],
    ]) {
      const said = run(...args)
      expect(said).not.toBe('')
      expect(UNSEEN.test(said.replaceAll('\n', '')), JSON.stringify(said)).toBe(false)
    }
  })
})
