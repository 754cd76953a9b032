import { type Argument, type Command, Option } from 'commander'

/** One command of the table: what `--help` shows of it, and where its implementation is. */
export interface CommandSpec {
  readonly name: string
  /** A second name, which works as the first does. */
  readonly alias?: string
  readonly summary: string
  readonly arguments?: readonly Argument[]
  readonly options?: readonly Option[]
  /** Shown below the options: what is not obvious, and examples. */
  readonly help: string
  /**
   * Imports the implementation: called when the command runs, and not before, so that `--help` loads none of it. The function
   * takes the arguments, then the options, as commander hands them on.
   */
  readonly load: () => Promise<(...given: never[]) => unknown>
}

/** Commands below one word, as `dlq ls`. */
export interface CommandGroup {
  readonly name: string
  readonly summary: string
  readonly help: string
  readonly commands: readonly CommandSpec[]
}

export function addCommand(
  parent: Command,
  { name, alias, summary, arguments: taken = [], ...spec }: CommandSpec,
): void {
  const command = parent.command(name).description(summary).addHelpText('after', `\n${spec.help}`)
  if (alias !== undefined) command.alias(alias)
  for (const argument of taken) command.addArgument(argument)
  for (const option of spec.options ?? []) command.addOption(option)
  command.action(async (...given: unknown[]) => {
    const run = await spec.load()
    await run(...(given as never[]))
  })
}

export function addGroup(parent: Command, { name, summary, help, commands }: CommandGroup): void {
  const group = parent.command(name).description(summary).addHelpText('after', `\n${help}`)
  for (const spec of commands) addCommand(group, spec)
}

/**
 * @param parse reads the text of the flag's value; throws commander's InvalidArgumentError
 * @param preset the value without the flag
 */
export function option<T>(flags: string, about: string, parse?: (text: string) => T, preset?: T): Option {
  const made = new Option(flags, about)
  if (parse !== undefined) made.argParser(parse)
  return preset === undefined ? made : made.default(preset)
}

/** An option without which the command cannot run. */
export function required<T>(flags: string, about: string, parse?: (text: string) => T): Option {
  return option(flags, about, parse).makeOptionMandatory()
}
