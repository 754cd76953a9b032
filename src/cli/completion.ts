import { UsageError } from '../engine/errors.ts'
import type { CommandGroup, CommandSpec } from './command.ts'
import { print } from './output.ts'

/** Completion scripts for shells, made from the table of commands. */

export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

/** One place of a command line: the words that lead there, and what can follow. */
interface Place {
  /** `''`, `/dlq`, `/dlq/ls`. */
  readonly path: string
  /** How the last word may be written. */
  readonly names: readonly string[]
  /** Commands, or the values of an argument. */
  readonly words: readonly Item[]
  readonly flags: readonly Flag[]
}

interface Item {
  readonly word: string
  readonly about: string
}

interface Flag extends Item {
  /** `undefined`: it takes no value. `file`: a path. Otherwise the values, none of which need be known. */
  readonly value: undefined | 'file' | readonly string[]
}

const HELP: Flag = { word: '--help', about: 'show help', value: undefined }
const VERSION: Flag = { word: '--version', about: 'show the version', value: undefined }

export function completion(shell: Shell, commands: readonly (CommandSpec | CommandGroup)[]): void {
  print(completionScript(shell, commands).trimEnd())
}

/** @throws UsageError for a shell that is not known */
export function completionScript(shell: Shell, commands: readonly (CommandSpec | CommandGroup)[]): string {
  const places = placesOf(commands)
  if (shell === 'bash') return bashScript(places)
  if (shell === 'zsh') return zshScript(places)
  if (shell === 'fish') return fishScript(places)
  throw new UsageError(`no completion for ${shell}: it must be one of ${SHELLS.join(', ')}`)
}

function placesOf(commands: readonly (CommandSpec | CommandGroup)[]): Place[] {
  const helped = (path: string, words: readonly Item[]): Place => ({ path, names: ['help'], words, flags: [] })
  const top = [...commands.map(itemOf)]
  const places: Place[] = [
    { path: '', names: [], words: [...top, helpItem('a command')], flags: [HELP, VERSION] },
    helped('/help', top),
  ]
  for (const command of commands) {
    const path = `/${command.name}`
    if (!('commands' in command)) {
      places.push(placeOf(path, command))
      continue
    }
    const below = command.commands.map(itemOf)
    const words = [...below, helpItem('one of them')]
    places.push({ path, names: [command.name], words, flags: [HELP] }, helped(`${path}/help`, below))
    for (const spec of command.commands) places.push(placeOf(`${path}/${spec.name}`, spec))
  }
  return places
}

function placeOf(path: string, { name, alias, arguments: taken = [], options = [] }: CommandSpec): Place {
  const flags = options
    .filter(({ hidden, long }) => !hidden && long)
    .map(({ long, flags, description, required, argChoices }): Flag => {
      const value = required ? (/<(?:file|path|dir)>/.test(flags) ? 'file' : (argChoices ?? [])) : undefined
      return { word: long ?? '', about: description, value }
    })
  const words = taken.flatMap(({ argChoices = [] }) => argChoices.map(word => ({ word, about: '' })))
  return { path, names: [name, ...(alias === undefined ? [] : [alias])], words, flags: [...flags, HELP] }
}

function itemOf({ name, summary }: CommandSpec | CommandGroup): Item {
  return { word: name, about: summary }
}

function helpItem(what: string): Item {
  return { word: 'help', about: `help on ${what}` }
}

/** Shell patterns of the words that lead from one place to the next: `/dlq/redrive|/dlq/replay`. */
function steps(places: readonly Place[]): { readonly patterns: readonly string[]; readonly path: string }[] {
  return places
    .filter(({ path }) => path !== '')
    .map(({ path, names }) => ({ path, patterns: names.map(name => path.replace(/[^/]*$/, name)) }))
}

/** Flags with a value, each with the place at which it stands. */
function valued(places: readonly Place[]): { readonly at: string; readonly value: 'file' | readonly string[] }[] {
  return places.flatMap(({ path, flags }) =>
    flags.flatMap(({ word, value }) => (value === undefined ? [] : [{ at: `${path} ${word}`, value }])),
  )
}

function bashScript(places: readonly Place[]): string {
  const list = (texts: readonly string[]) => texts.map(quoted).join('|')
  const values = valued(places)
  const files = values.filter(({ value }) => value === 'file')
  const free = values.filter(({ value }) => value.length === 0)
  const known = values.filter(({ value }) => typeof value !== 'string' && value.length > 0)
  return `# Completion for bash: eval "$(holdfast completion bash)"
_holdfast() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} at= words= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at/\${COMP_WORDS[i]}" in
${steps(places)
  .map(({ patterns, path }) => `      ${list(patterns)}) at=${quoted(path)} ;;`)
  .join('\n')}
    esac
  done
  COMPREPLY=()
  case "$at $prev" in
    ${list(files.map(({ at }) => at))})
      compopt -o filenames 2>/dev/null
      COMPREPLY=($(compgen -f -- "$cur"))
      return ;;
    ${list(free.map(({ at }) => at))}) return ;;
${known.map(({ at, value }) => `    ${quoted(at)}) COMPREPLY=($(compgen -W ${quoted([...value].join(' '))} -- "$cur")); return ;;`).join('\n')}
  esac
  case "$at" in
${places.map(({ path, words, flags }) => `    ${quoted(path)}) words=${quoted([...words, ...flags].map(({ word }) => word).join(' '))} ;;`).join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _holdfast holdfast
`
}

function zshScript(places: readonly Place[]): string {
  const list = (texts: readonly string[]) => texts.map(quoted).join('|')
  const items = (given: readonly Item[]) => given.map(({ word, about }) => quoted(`${word}:${about}`)).join(' ')
  return `#compdef holdfast
# Completion for zsh: eval "$(holdfast completion zsh)"
_holdfast() {
  local prev=\${words[CURRENT-1]} at= i
  local -a commands flags
  for ((i = 2; i < CURRENT; i++)); do
    case "$at/\${words[i]}" in
${steps(places)
  .map(({ patterns, path }) => `      (${list(patterns)}) at=${quoted(path)} ;;`)
  .join('\n')}
    esac
  done
  case "$at $prev" in
${valued(places)
  .map(({ at, value }) => {
    const then = value === 'file' ? '_files' : value.length === 0 ? ':' : `compadd -- ${value.map(quoted).join(' ')}`
    return `    (${quoted(at)}) ${then}; return ;;`
  })
  .join('\n')}
  esac
  case "$at" in
${places.map(({ path, words, flags }) => `    (${quoted(path)}) commands=(${items(words)}) flags=(${items(flags)}) ;;`).join('\n')}
  esac
  (( \${#commands} )) && _describe -t commands command commands
  (( \${#flags} )) && _describe -o option flags
}
if [[ "\${funcstack[1]}" == _holdfast ]]; then _holdfast "$@"; else compdef _holdfast holdfast; fi
`
}

function fishScript(places: readonly Place[]): string {
  const q = (text: string) => `'${text.replace(/[\\']/g, '\\$&')}'`
  const when = (path: string) => `-n ${q(`test (__holdfast_at) = '${path}'`)}`
  const lines = places.flatMap(({ path, words, flags }) => [
    ...words.map(({ word, about }) => `complete -c holdfast ${when(path)} -f -a ${q(word)} -d ${q(about)}`),
    ...flags.map(({ word, about, value }) => {
      const takes = value === undefined ? '' : value === 'file' ? ' -r -F' : ` -x -a ${q([...value].join(' '))}`
      return `complete -c holdfast ${when(path)} -l ${word.slice(2)}${takes} -d ${q(about)}`
    }),
  ])
  return `# Completion for fish: holdfast completion fish | source
function __holdfast_at
  set -l at ''
  for word in (commandline -opc)[2..-1]
    switch "$at/$word"
${steps(places)
  .map(({ patterns, path }) => `      case ${patterns.map(q).join(' ')}\n        set at ${q(path)}`)
  .join('\n')}
    end
  end
  echo "$at"
end
complete -c holdfast -f
${lines.join('\n')}
`
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
