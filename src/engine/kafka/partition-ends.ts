import { PartitionUnavailableError } from '../errors.ts'
import { runningLifecycle } from '../lifecycle.ts'
import type { KafkaConnection } from './client.ts'
import { openPartitionReader, type PartitionReader } from './partition-reader.ts'

/** Where partitions end, for callers that must not wait. */
export interface PartitionEnds extends AsyncDisposable {
  /**
   * The ends of these partitions, as far as the broker has reported them a moment ago. Asks again in the background when that is due:
   * one question at a time, and none without calls.
   */
  of(partitions: readonly number[]): ReadonlyMap<number, bigint>
}

/** Between the end of a round of questions and the next round. */
const INTERVAL_MS = 2_000
/** Reports older than this no longer describe the current state. */
const FRESH_MS = 10_000

export function createPartitionEnds(options: {
  readonly connection: KafkaConnection
  readonly topic: string
  /** Only named: who may read for the group may ask here. */
  readonly groupId: string
}): PartitionEnds {
  const reported = new Map<number, { readonly high: bigint; readonly at: number }>()
  let reader: PartitionReader | undefined
  let round: Promise<void> | undefined
  let dueAt = 0
  const lifecycle = runningLifecycle(async () => {
    await round
    await reader?.[Symbol.asyncDispose]()
  })

  async function ask(partitions: readonly number[]): Promise<void> {
    try {
      reader ??= await openPartitionReader({ ...options, onlyHeads: true })
      for (const partition of partitions) {
        if (lifecycle.stopping.aborted) return
        try {
          const { high } = await reader.watermarks(partition)
          reported.set(partition, { high, at: performance.now() })
        } catch (error) {
          // One without a leader is not known; the others are.
          if (!(error instanceof PartitionUnavailableError)) throw error
        }
      }
    } catch {
      // Kafka is away, which other parts report; a client that failed may never find its brokers again.
      const gone = reader
      reader = undefined
      void gone?.[Symbol.asyncDispose]()
    }
  }

  return {
    of(partitions) {
      const now = performance.now()
      if (round === undefined && now >= dueAt && partitions.length > 0 && !lifecycle.stopping.aborted) {
        round = ask(partitions).finally(() => {
          round = undefined
          dueAt = performance.now() + INTERVAL_MS
        })
      }
      return new Map(
        partitions.flatMap(partition => {
          const known = reported.get(partition)
          return known === undefined || now - known.at > FRESH_MS ? [] : [[partition, known.high] as const]
        }),
      )
    },
    [Symbol.asyncDispose]: lifecycle.stop,
  }
}
