import { Command } from 'commander'
import { expect, it } from 'vitest'
import { addCommand } from '#src/cli/command.ts'
import { DLQ } from '#src/inbox/cli/commands-dlq.ts'
import { guardOf, type RedriveOptions, rateOf } from '#src/inbox/cli/dlq-redrive.ts'

/** The options of `dlq redrive`, as its implementation gets them. */
async function optionsOf(...flags: readonly string[]): Promise<RedriveOptions> {
  const spec = DLQ.commands.find(({ name }) => name === 'redrive')
  if (spec === undefined) throw new Error('there is no such command')
  const parent = new Command()
  let given: RedriveOptions | undefined
  const load = async () => (_words: never, options: never) => {
    given = options
  }
  addCommand(parent, { ...spec, load })
  await parent.parseAsync(['redrive', 'state:open', ...flags], { from: 'user' })
  return given ?? {}
}

it('takes what is usual where nothing is said', async () => {
  const options = await optionsOf()
  expect(rateOf(options)).toBe(100)
  expect(guardOf(options)).toEqual({ canary: undefined, maxFailures: undefined, yieldAboveSeconds: undefined })
})

it('takes when a redrive pauses and rests by itself, or that it does not', async () => {
  const given = await optionsOf('--rate', '90/m', '--canary', '50', '--max-failures', '5', '--yield-above', '2500ms')
  expect(rateOf(given)).toBe(1.5)
  expect(guardOf(given)).toEqual({ canary: 50, maxFailures: 5, yieldAboveSeconds: 2.5 })
  const off = await optionsOf('--rate', 'off', '--canary', '0', '--max-failures', 'off', '--yield-above', 'off')
  expect(rateOf(off)).toBeUndefined()
  expect(guardOf(off)).toEqual({ canary: 0, maxFailures: null, yieldAboveSeconds: 0 })
})
