import { expect, it, onTestFinished, vi } from 'vitest'
import { inRounds } from '#src/cli/watch.ts'
import { StoreUnavailableError, UsageError } from '#src/engine/errors.ts'

/** What goes to stdout and stderr while a test runs. */
function listen() {
  const said = { out: '', err: '' }
  const into = (name: keyof typeof said) => (text: unknown) => {
    said[name] += text
    return true
  }
  const spies = [
    vi.spyOn(process.stdout, 'write').mockImplementation(into('out')),
    vi.spyOn(process.stderr, 'write').mockImplementation(into('err')),
  ]
  onTestFinished(() => {
    for (const spy of spies) spy.mockRestore()
  })
  return said
}

const FAST = { everyMs: 1, isTerminal: false }

it('runs once without --watch', async () => {
  const said = listen()
  let rounds = 0
  await inRounds({}, async begin => {
    begin()
    rounds += 1
  })
  expect([rounds, said.out]).toEqual([1, ''])
})

it('runs again until Ctrl-C, which is no failure', async () => {
  const said = listen()
  let rounds = 0
  await inRounds(
    { watch: true },
    async begin => {
      begin()
      if (++rounds === 3) process.emit('SIGINT')
    },
    FAST,
  )
  expect(rounds).toBe(3)
  expect(said.out.match(/Ctrl-C ends\n/g)).toHaveLength(3)
})

it.each([
  ['a terminal is cleared before each round', { isTerminal: true }, {}, /^CLEAR\d{4}-.*Ctrl-C ends\n$/],
  ['a pipe is not', { isTerminal: false }, {}, /^\d{4}-.*Ctrl-C ends\n$/],
  ['nothing stands between lines of JSON, even on a terminal', { isTerminal: true }, { json: true }, /^$/],
])('%s', async (_, terminal, options, expected) => {
  const said = listen()
  await inRounds(
    { watch: true, ...options },
    async begin => {
      begin()
      process.emit('SIGINT')
    },
    { ...FAST, ...terminal },
  )
  expect(said.out.replace('\u001b[H\u001b[2J', 'CLEAR')).toMatch(expected)
})

it('ends with what fails at first; later it waits out an outage, and ends with anything else', async () => {
  const said = listen()
  const away = new StoreUnavailableError('Postgres is away')
  await expect(inRounds({ watch: true }, () => Promise.reject(away), FAST)).rejects.toBe(away)
  const wrong = new UsageError('wrong')
  const rounds = [undefined, away, undefined, wrong]
  const run = inRounds(
    { watch: true },
    async () => {
      const error = rounds.shift()
      if (error !== undefined) throw error
    },
    FAST,
  )
  await expect(run).rejects.toBe(wrong)
  expect(said.err).toBe('Postgres is away; trying again\n')
})
