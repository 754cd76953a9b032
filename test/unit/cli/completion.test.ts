import { execFileSync, spawnSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { COMMANDS } from '#src/cli/commands.ts'
import { completionScript, SHELLS } from '#src/cli/completion.ts'
import { LETTER_SORTS } from '#src/inbox/ports.ts'

/** What bash offers after these words, the last of which is being typed. */
function offered(...words: readonly string[]): string[] {
  const script = `${completionScript('bash', COMMANDS)}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _holdfast; printf '%s\\n' "\${COMPREPLY[@]}"`
  const out = execFileSync('bash', ['--norc', '--noprofile', '-c', script, 'bash', 'holdfast', ...words], {
    encoding: 'utf8',
  })
  return out.split('\n').filter(word => word !== '')
}

it('offers each command, and below a group each of its own', () => {
  const names = COMMANDS.map(({ name }) => name)
  expect(offered('')).toEqual([...names, 'help', '--help', '--version'])
  expect(offered('ver')).toEqual(['verify'])
  expect(offered('help', 'dl')).toEqual(['dlq'])
  for (const command of COMMANDS) {
    if (!('commands' in command)) continue
    expect(offered(command.name, '')).toEqual([...command.commands.map(({ name }) => name), 'help', '--help'])
  }
})

it('offers the flags of a command, also under its other name, but for hidden ones', () => {
  expect(offered('lag', '--')).toEqual(['--stream', '--watch', '--json', '--help'])
  expect(offered('dlq', 'replay', '--')).toEqual(offered('dlq', 'redrive', '--'))
  expect(offered('dlq', 'redrive', '--ed')).toEqual(['--edit'])
  expect(offered('dlq', 'show', 'orders-0-1', '--')).toContain('--reveal')
  expect(offered('dlq', 'show', 'orders-0-1', '--')).not.toContain('--masked')
})

it('offers values where they are known, files where a path is wanted, and nothing else', () => {
  expect(offered('dlq', 'ls', '--sort', '')).toEqual([...LETTER_SORTS])
  expect(offered('dlq', 'ls', '--sort', '-s')).toEqual(['-source'])
  expect(offered('dlq', 'auto', 'o')).toEqual(['on', 'off'])
  expect(offered('completion', '')).toEqual(['bash', 'zsh', 'fish', '--help'])
  expect(offered('dlq', 'redrive', '--edit', 'package.j')).toEqual(['package.json'])
  expect(offered('produce', '--count', '')).toEqual([])
})

it('takes no argument for a command', () => {
  expect(offered('dlq', 'ls', 'show', '--rev')).toEqual([])
  expect(offered('get', 'dlq', '--')).toEqual(['--stream', '--json', '--help'])
})

for (const shell of SHELLS)
  it(`${shell} can read its script`, ({ skip }) => {
    if (spawnSync(shell, ['--version']).error !== undefined) return skip(`there is no ${shell} here`)
    const { status, stderr } = spawnSync(shell, ['-n'], { input: completionScript(shell, COMMANDS), encoding: 'utf8' })
    expect([status, stderr]).toEqual([0, ''])
  })
