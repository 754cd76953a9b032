import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { confirm } from '#src/cli/confirm.ts'
import { exitCodeOf } from '#src/cli/failure.ts'

/** A terminal at which somebody types this when asked. */
async function typed(answer: string | undefined, count: number): Promise<{ code: number; shown: string }> {
  const input = Object.assign(new PassThrough(), { isTTY: true }) as unknown as NodeJS.ReadStream
  const output = new PassThrough()
  let shown = ''
  output.on('data', chunk => {
    shown += String(chunk)
  })
  const asking = confirm({ verb: 'Discard', count, yes: false, input, output })
  if (answer === undefined) input.push(null)
  else input.push(`${answer}\n`)
  const code = await asking.then(() => 0, exitCodeOf)
  return { code, shown }
}

describe('a question before something is done', () => {
  it.each([
    ['y', 3, 0],
    ['YES', 3, 0],
    ['', 3, 1],
    ['n', 3, 1],
    ['3', 3, 1],
    ['y', 101, 1],
    ['101', 101, 0],
    ['1,234', 1234, 0],
    ['1235', 1234, 1],
  ])('takes %j for %d as %d', async (answer, count, code) => {
    expect((await typed(answer, count)).code).toBe(code)
  })

  it('says how many, and asks for the number when there are many', async () => {
    expect((await typed('y', 1)).shown).toContain('Discard 1 dead letter? [y/N]')
    expect((await typed('y', 1234)).shown).toContain('Discard 1,234 dead letters? Type 1234 to continue')
  })

  it('takes a terminal that goes away for a no', async () => {
    expect((await typed(undefined, 3)).code).toBe(1)
  })

  it('is not asked where nobody could answer: --yes is then needed', async () => {
    const input = new PassThrough() as unknown as NodeJS.ReadStream
    const asking = confirm({ verb: 'Discard', count: 2, yes: false, input, output: new PassThrough() })
    await expect(asking).rejects.toThrow(/--yes/)
    expect(await asking.catch(exitCodeOf)).toBe(2)
    await confirm({ verb: 'Discard', count: 2, yes: true, input })
  })
})
