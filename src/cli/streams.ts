import { UsageError } from '../engine/errors.ts'
import type { Stream } from '../engine/stream.ts'
import { type Config, loadConfig } from '../settings/config.ts'
import type { Environment } from '../settings/origins.ts'
import { loadStreams, type Streams, streamNamed } from '../settings/streams.ts'

/** What a command works with: the settings, and the streams of this project. */
export interface Setup {
  readonly config: Config
  readonly streams: Streams
}

/** @throws ConfigError, UsageError naming every setting and every definition that cannot be used */
export async function loadSetup(env: Environment = process.env): Promise<Setup> {
  const config = loadConfig(env)
  return { config, streams: await loadStreams(config, env) }
}

/**
 * The stream that a command is about.
 * @param name of --stream; `undefined`: the only one
 * @throws UsageError when there are several and none is named, or when none has the name
 */
export function oneStream({ streams }: Pick<Setup, 'streams'>, name: string | undefined): Stream {
  if (name !== undefined) return streamNamed(streams, name)
  const [only, ...others] = streams
  if (others.length === 0) return only
  const names = streams.map(stream => stream.name).join(', ')
  throw new UsageError(`there are several streams: say which one with --stream (${names})`)
}

/** The streams that a command is about: the one with this name, or all of them. @throws UsageError when none has the name */
export function namedOrAll({ streams }: Pick<Setup, 'streams'>, name: string | undefined): readonly Stream[] {
  return name === undefined ? streams : [streamNamed(streams, name)]
}
