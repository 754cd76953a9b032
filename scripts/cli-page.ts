import type { Command } from 'commander'
import type { CommandGroup, CommandSpec } from '../src/cli/command.ts'
import { COMMANDS } from '../src/cli/commands.ts'
import { createProgram } from '../src/cli/program.ts'

/**
 * Every command in Markdown, from the table that `--help` is made of: usage, arguments, options, what is not obvious, examples.
 * The headings are the commands themselves, so that each has an anchor: `#holdfast-dlq-redrive`.
 */
export function cliPage(): string {
  const program = createProgram()
  const sections = COMMANDS.flatMap(spec => {
    const command = below(program, spec.name)
    if (!('commands' in spec)) return [section(command, spec)]
    return [section(command, spec), ...spec.commands.map(one => section(below(command, one.name), one))]
  })
  return [overview(), ...sections].join('\n\n')
}

function overview(): string {
  const lines = COMMANDS.flatMap(spec => {
    const commands = 'commands' in spec ? spec.commands : [spec]
    return commands.map(({ name, summary }) => {
      const words = 'commands' in spec ? [spec.name, name] : [name]
      return `| [\`${words.join(' ')}\`](#holdfast-${words.join('-')}) | ${cell(summary)} |`
    })
  })
  return ['| command | |', '| --- | --- |', ...lines].join('\n')
}

function below(parent: Command, name: string): Command {
  const found = parent.commands.find(command => command.name() === name)
  if (found === undefined) throw new Error(`${parent.name()} has no command ${name}`)
  return found
}

function section(command: Command, spec: CommandSpec | CommandGroup): string {
  const usage = command.createHelp().commandUsage(command)
  const [about = '', examples] = spec.help.split(/(?:^|\n)Examples?:\n/)
  const parts = [
    `${'#'.repeat(namesOf(command).length)} ${namesOf(command).join(' ')}`,
    `${prose(`${spec.summary[0]?.toUpperCase()}${spec.summary.slice(1)}`)}.`,
    'commands' in spec ? '' : fenced('text', usage),
    table(command),
    prose(about.trim()),
    examples === undefined ? '' : fenced('sh', examples.replace(/^ {2}/gm, '')),
  ]
  return parts.filter(part => part !== '').join('\n\n')
}

function namesOf(command: Command): string[] {
  return command.parent === null ? [command.name()] : [...namesOf(command.parent), command.name()]
}

function table(command: Command): string {
  const help = command.createHelp()
  const rows = [
    ...help.visibleArguments(command).map(one => [help.argumentTerm(one), help.argumentDescription(one)] as const),
    ...help
      .visibleOptions(command)
      .filter(({ long }) => long !== '--help')
      .map(
        one => [help.optionTerm(one), `${help.optionDescription(one)}${one.mandatory ? ' (required)' : ''}`] as const,
      ),
  ]
  if (rows.length === 0) return ''
  return ['| | |', '| --- | --- |', ...rows.map(([term, about]) => `| \`${term}\` | ${cell(about)} |`)].join('\n')
}

function fenced(language: string, text: string): string {
  return `\`\`\`${language}\n${text.trimEnd()}\n\`\`\``
}

/** Flags and names of settings as code; escaped, what Markdown would take for a mark of its own. */
function prose(text: string): string {
  return text
    .split(/(`[^`]*`|--[a-z][a-z-]+|\b[A-Z]+(?:_[A-Z]+)+\b)/)
    .map((part, i) => {
      if (i % 2 === 0) return part.replace(/[*<>]|\b_|_\b/g, '\\$&')
      return part.startsWith('`') ? part : `\`${part}\``
    })
    .join('')
}

function cell(text: string): string {
  return prose(text).replaceAll('|', '\\|')
}
