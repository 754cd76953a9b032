import { userInfo } from 'node:os'
import { InvalidArgumentError } from 'commander'
import { describe, expect, it } from 'vitest'
import type { CommandSpec } from '#src/cli/command.ts'
import { COMMANDS } from '#src/cli/commands.ts'
import { actingOperator, asOption } from '#src/cli/operator-name.ts'
import { ConfigError } from '#src/engine/errors.ts'
import { loadConfig } from '#src/settings/config.ts'

const configOf = (OPERATOR?: string) => loadConfig({ ...(OPERATOR === undefined ? {} : { OPERATOR }) })

describe('who acts', () => {
  it('is --as, else OPERATOR, else the user of the terminal', () => {
    expect(actingOperator(configOf('ops'), { as: 'ada', because: ' a drill ' })).toEqual({
      who: 'ada',
      because: 'a drill',
    })
    expect(actingOperator(configOf('ops'), {})).toEqual({ who: 'ops', because: 'not said' })
    expect(actingOperator(configOf(), {}).who).toBe(userInfo().username)
  })

  it.each(['', 'ada lovelace', 'ada,ben', 'ada:admin', `a${'b'.repeat(64)}`, 'automatic', 'a\u001b[31m'])(
    'cannot be called %j, whether a flag or the setting says so',
    name => {
      expect(() => asOption().parseArg?.(name, undefined)).toThrow(InvalidArgumentError)
      if (name !== '') expect(() => configOf(name)).toThrow(ConfigError)
    },
  )

  it('can be named in every command that leaves an entry in the audit log', () => {
    const leaves = (spec: CommandSpec) =>
      spec.options?.some(({ long }) => long === '--because') || ['show', 'export'].includes(spec.name)
    const specs = COMMANDS.flatMap(command => ('commands' in command ? command.commands : [command])).filter(leaves)
    expect(specs.map(({ name }) => name)).toEqual(expect.arrayContaining(['resume', 'seek', 'verify', 'redrive']))
    for (const { name, options = [] } of specs)
      expect(
        options.map(({ long }) => long),
        name,
      ).toContain('--as')
  })
})
