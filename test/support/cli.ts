import { execFile } from 'node:child_process'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Stream } from './stream.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** A command as an operator types it, against a test's stream, with further variables in `env`. Rejects with `code`, `stdout` and `stderr` when it fails. */
export function holdfast(
  stream: Stream & { readonly env?: Readonly<Record<string, string>> },
  ...args: readonly string[]
): Promise<{ stdout: string; stderr: string }> {
  return promisify(execFile)('bin/holdfast', args, {
    cwd: ROOT,
    env: {
      PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
      KAFKA_BROKERS: stream.brokers,
      KAFKA_TOPIC: stream.topic,
      KAFKA_DLQ_TOPIC: stream.dlqTopic,
      KAFKA_GROUP_ID: stream.groupId,
      DATABASE_URL: stream.databaseUrl,
      ...stream.env,
    },
  })
}
