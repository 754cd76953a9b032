import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { shieldTerms } from '#src/inbox/cli/commands-dlq.ts'
import { filterOf } from '#src/inbox/cli/dlq-filter.ts'
import { printFilter } from '#src/inbox/filter.ts'
import { COMPILED } from '../../../support/service.ts'

/** Nothing listens there. */
const NOWHERE = { DATABASE_URL: 'postgres://127.0.0.1:1/none', KAFKA_BROKERS: '127.0.0.1:1' }

async function dlq(...args: readonly string[]) {
  const child = spawn(process.execPath, ['src/cli/main.ts', 'dlq', ...args], {
    env: { PATH: process.env.PATH, NO_COLOR: '1', ...COMPILED, ...NOWHERE },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const { promise, resolve } = Promise.withResolvers<number | null>()
  child.once('close', resolve)
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), promise])
  return { code, stdout, stderr }
}

describe('dlq', () => {
  it('helps with every subcommand, and with an example of each', async () => {
    const { code, stdout } = await dlq('--help')
    expect(code).toBe(0)
    const names = [...stdout.matchAll(/^ {2}([a-z]+)(?:\|[a-z]+)? (?:\[|<| )/gm)]
      .map(([, name = '']) => name)
      .filter(name => name !== 'help')
    expect(names).toEqual([
      ...['stats', 'causes', 'cause', 'ls', 'show', 'check', 'redrive', 'redrives', 'pause', 'cancel', 'discard'],
      ...['restore', 'export', 'reindex', 'auto'],
    ])
    const helped = await Promise.all(names.map(name => dlq(name, '--help')))
    for (const [index, { stdout }] of helped.entries()) expect(stdout).toContain(`  holdfast dlq ${names[index]}`)
  })

  it.each([['replay'], ['replays']])('knows a redrive by its older name, %s, too', async name => {
    const [older, usual] = await Promise.all([dlq(name, '--help'), dlq(name.replace('replay', 'redrive'), '--help')])
    expect(older).toEqual(usual)
    expect(older.code).toBe(0)
  })

  it.each<[string, readonly string[], RegExp]>([
    [
      'a filter that cannot be understood',
      ['ls', 'state:open', 'colour:red'],
      /fields are reason.*\n {2}state:open colour:red\n {13}\^/,
    ],
    ['one that begins with a "-"', ['stats', '-colour:red'], /\n {2}-colour:red\n {3}\^/],
    ['a cursor that is none', ['ls', '--cursor', 'abc'], /--cursor must be what the page before ended with/],
    ['no limit', ['ls', '--limit', '0'], /--limit must be 1 at least/],
    ['a discard of nothing named', ['discard', '--because', 'x'], /missing required argument 'filter'/],
    ['a discard without a reason', ['discard', 'state:open'], /required option '--because/],
    ['an empty reason', ['discard', 'state:open', '--because', ' '], /--because is empty/],
    ['two ways to show', ['show', 'orders-0-0', '--reveal', '--raw', '--json'], /cannot be used with/],
    [
      'bytes that are not to be revealed',
      ['show', 'orders-0-0', '--hex'],
      /--hex shows all of the value: add --reveal/,
    ],
    ['what is masked and not', ['show', 'orders-0-0', '--masked', '--reveal'], /cannot be used with/],
    ['an unknown flag', ['check', '--lmit', '3'], /unknown option '--lmit'/],
    ['a redrive of nothing named', ['redrive', '--yes'], /say which/],
    ['a rate that is none', ['redrive', 'state:open', '--rate', 'fast'], /--rate.*records a second/],
    ['a limit of nothing', ['redrive', 'state:open', '--limit', '0'], /--limit.*1 at least/],
    ['an edit that is not there', ['redrive', 'id:a', '--edit', 'no/such'], /--edit no\/such cannot be read/],
    ['a snooze without an end', ['cause', 'c1', '--snooze', 'soon'], /--snooze.*a duration, as in 24h or 7d/],
    ['two states of a cause', ['cause', 'c1', '--known', '--resolve'], /cannot be used with/],
    ['a resumed one with a canary', ['redrive', '--resume', 'r1', '--canary', '5'], /cannot be used with/],
  ])('ends with 2 on %s, and touches nothing', async (_, args, expected) => {
    const { code, stdout, stderr } = await dlq(...args)
    expect(stderr).toMatch(expected)
    expect([code, stdout]).toEqual([2, ''])
  })

  it('says what to do while Postgres is away', async () => {
    const { code, stdout, stderr } = await dlq('stats')
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(/^error: Postgres is away: .*\n.*Check that Postgres runs at DATABASE_URL/s)
    expect(stderr).not.toMatch(/^\s+at /m)
  })

  it('takes a term with "-" for a term, and a flag for a flag', () => {
    expect(shieldTerms(['dlq', 'ls', '-reason:a', '--json', '-h'])).toEqual(['dlq', 'ls', ' -reason:a', '--json', '-h'])
    expect(shieldTerms(['dlq', 'ls', '-"no route"', '-timeout', '--limit', '-5'])).toEqual([
      ...['dlq', 'ls', ' -"no route"', ' -timeout', '--limit', '-5'],
    ])
    expect(shieldTerms(['produce', '-reason:a'])).toEqual(['produce', '-reason:a'])
  })

  it('takes a text for a text whose quotes the shell has taken away', () => {
    const taken = (...words: string[]) => printFilter(filterOf(words))
    expect(taken('text:must be', 'state:open')).toBe('text:"must be" state:open')
    expect(taken(' -text:a,b (c)')).toBe('-text:"a,b (c)"')
    expect(taken('text:must state:open')).toBe('text:must state:open')
    expect(taken('text:"must be" or')).toBe('text:"must be" or')
    expect(taken('error:required or')).toBe('error:required or')
  })
})
