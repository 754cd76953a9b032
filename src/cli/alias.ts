import { loadSetup } from './streams.ts'

/**
 * Replaces a word that the definition of a stream brings: `WORD get KEY` becomes `get KEY --stream NAME`. Any other command line
 * stays as it is.
 * @param args whose first word is none of the commands
 * @throws ConfigError, UsageError when the streams cannot be loaded: then the word may be one of theirs
 */
export async function withoutAlias(args: readonly string[]): Promise<readonly string[]> {
  const [word, action, ...rest] = args
  const { streams } = await loadSetup()
  const stream = streams.find(({ command }) => command !== undefined && command === word)
  if (stream === undefined) return args
  if (action === 'get') return ['get', ...rest, '--stream', stream.name]
  return action === undefined || action === '--help' || action === '-h' ? ['get', '--help'] : args
}
