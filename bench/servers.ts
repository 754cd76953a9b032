/** Our own Kafka and PostgreSQL, and what they use. */

import type { KafkaConnection } from '#src/engine/kafka/client.ts'
import type { EmbeddedPostgres } from '#tools/demo/servers/postgres.ts'
import { startStack } from '#tools/demo/servers/stack.ts'
import type { Cpu } from './measurement.ts'
import { cpuSecondsOfTree } from './process-figures.ts'

type ServerCpu = Pick<Cpu, 'postgres' | 'broker'>

export interface Servers extends AsyncDisposable {
  readonly brokers: string
  readonly connection: KafkaConnection
  readonly postgres: EmbeddedPostgres
  /** CPU seconds since they started, or since `before`; a session of PostgreSQL that has ended counts as well. */
  cpu(before?: ServerCpu): ServerCpu
}

/** Always starts embedded servers, never uses those of the environment: only their processes are known, and no other client uses them. */
export async function startServers(options: {
  readonly dataDir: string | undefined
  readonly log: (line: string) => void
}): Promise<Servers> {
  const stack = await startStack(options)
  const { kafka, postgres } = stack
  if (kafka === undefined || postgres === undefined) throw new Error('the stack came without its servers')
  return {
    brokers: kafka.brokers,
    connection: { brokers: [kafka.brokers], security: {}, extra: {} },
    postgres,
    cpu: before => ({
      postgres: since(cpuSecondsOfTree(postgres.pid), before?.postgres),
      broker: since(cpuSecondsOfTree(kafka.pid), before?.broker),
    }),
    [Symbol.asyncDispose]: () => stack.stop(),
  }
}

/** `undefined` where the machine does not report the figure. */
export function since(now: number | undefined, before: number | undefined = 0): number | undefined {
  return now === undefined ? undefined : now - before
}
