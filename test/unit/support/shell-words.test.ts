import { expect, it } from 'vitest'
import { shellCommands } from '../../support/shell-words.ts'

it.each<[string, string[][]]>([
  ['holdfast lag', [['holdfast', 'lag']]],
  ['make bench ARGS="--rounds 3"   # three of them', [['make', 'bench', 'ARGS=--rounds 3']]],
  [
    `holdfast dlq ls 'pointer:/payment/*' | head -1`,
    [
      ['holdfast', 'dlq', 'ls', 'pointer:/payment/*'],
      ['head', '-1'],
    ],
  ],
  ['a && b; c || d\ne', [['a'], ['b'], ['c'], ['d'], ['e']]],
  ['holdfast produce \\\n  --count 3', [['holdfast', 'produce', '--count', '3']]],
  ['holdfast dlq export > open.ndjson 2>/dev/null', [['holdfast', 'dlq', 'export']]],
  ['A=1 holdfast config >>x', [['A=1', 'holdfast', 'config']]],
  [
    'eval "$(holdfast completion bash)"',
    [
      ['holdfast', 'completion', 'bash'],
      ['eval', '$(holdfast completion bash)'],
    ],
  ],
  [
    'key=$(openssl rand -base64 32); echo "$key"',
    [['openssl', 'rand', '-base64', '32'], ['key=$(openssl rand -base64 32)'], ['echo', '$key']],
  ],
  [`curl -d '{"a":1}' x`, [['curl', '-d', '{"a":1}', 'x']]],
  ['# nothing', []],
])('%j is %j', (script, commands) => {
  expect(shellCommands(script)).toEqual(commands)
})

it('says where a quote is not closed', () => {
  expect(() => shellCommands('echo "a')).toThrow('a quote that is not closed: "a')
})
