import type { Role } from '../app.ts'
import { checkProperties } from '../engine/kafka/connect.ts'
import { runService } from '../main.ts'
import { loadConfig } from '../settings/config.ts'
import { loadStreams } from '../settings/streams.ts'
import { note } from './output.ts'

interface ServeOptions {
  readonly roles?: ReadonlySet<Role>
  readonly streams?: readonly string[]
  readonly checkConfig?: boolean
}

export async function serve({ roles, streams: only, checkConfig }: ServeOptions): Promise<void> {
  const config = loadConfig(process.env)
  const streams = await loadStreams(config, process.env, { only })
  // Only the native client can check all of its properties, which it does before anything is started.
  await checkProperties(config.kafka)
  if (checkConfig) return note('settings are valid')
  // The service has closed its connections and joined its threads by then: nothing is left to wait for.
  process.exit(await runService(config, streams, roles))
}
