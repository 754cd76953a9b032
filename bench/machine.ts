import { cpus, totalmem } from 'node:os'
import { nativeFeatures } from '#src/engine/kafka/client.ts'
import { kafkaVersion } from '#tools/demo/servers/kafka-jars.ts'

/** What was measured on. */
export interface Machine {
  readonly cores: number
  readonly processor: string
  readonly memoryBytes: number
  /** Processes that wanted to run in the minute before the first round: above 0.5 other processes were using the machine. */
  readonly loadBefore: number
  readonly node: string
  readonly postgres: string
  readonly kafka: string
  readonly librdkafka: string
}

export function describeMachine(postgres: string, loadBefore: number): Machine {
  const cores = cpus()
  return {
    cores: cores.length,
    processor: cores[0]?.model.trim() ?? 'unknown',
    memoryBytes: totalmem(),
    loadBefore,
    node: process.versions.node,
    postgres,
    kafka: kafkaVersion,
    librdkafka: nativeFeatures().version,
  }
}
