import type { CommittedBatch, Observer } from '../facts.ts'
import type { Clock, Progress, RecordSource } from '../ports.ts'
import { partitionKey, type TopicPartition } from '../record.ts'

/** Sends to Kafka what Postgres has settled. Kafka's offset only ever follows. */
export interface Committer {
  /**
   * Progress of an owned partition, and the batch that made it, when one did. It is sent at once, also while the consumer's loop waits in a
   * poll, or after the commit that is under way.
   */
  offer(progress: Progress, batch?: CommittedBatch): void
  /** To be called often: repeats what the broker has refused. */
  tick(): void
  /** What is settled and not acknowledged as committed, for these partitions. */
  pending(partitions: readonly TopicPartition[]): boolean
  /** No longer ours: never commit it, the broker would take it even backwards. */
  forget(partitions: readonly TopicPartition[]): void
}

/** A refused commit is repeated with the next one, but not in a tight loop. */
const PAUSE_AFTER_FAILURE_MS = 250

interface Pending {
  readonly progress: Progress
  readonly batches: readonly CommittedBatch[]
}

/**
 * One commit in flight, later ones coalesced: a commit takes about 5 ms on a current broker, and a batch must not wait
 * for it. What the broker answers is what counts, not what was queued.
 */
export function createCommitter(source: RecordSource, observer: Observer, clock: Clock): Committer {
  const waiting = new Map<string, Pending>()
  let inFlight: ReadonlyMap<string, Pending> | undefined
  let notBefore = 0

  async function send(batch: ReadonlyMap<string, Pending>): Promise<void> {
    const started = clock.monotonic()
    const positions = [...batch.values()].map(({ progress }) => progress)
    const result = await source.commit(positions)
    inFlight = undefined
    const batches = [...batch.values()].flatMap(pending => pending.batches)
    const seconds = (clock.monotonic() - started) / 1000
    if (result.ok) {
      observer.observe({ kind: 'committed', positions, seconds, batches })
      sendNext()
      return
    }
    notBefore = clock.monotonic() + PAUSE_AFTER_FAILURE_MS
    const { code, message } = result
    observer.observe({ kind: 'commit_failed', positions, seconds, batches, code, message })
    for (const [key, failed] of batch) {
      if (forgotten.delete(key)) continue
      const newer = waiting.get(key)
      waiting.set(key, {
        progress: newer?.progress ?? failed.progress,
        batches: [...failed.batches, ...(newer?.batches ?? [])],
      })
    }
  }

  /** Unless a commit is under way, or there is nothing to commit. */
  function sendNext(): void {
    if (inFlight !== undefined || waiting.size === 0 || clock.monotonic() < notBefore) return
    inFlight = new Map(waiting)
    waiting.clear()
    forgotten.clear()
    void send(inFlight)
  }

  /** Partitions that were taken away while their commit was under way. */
  const forgotten = new Set<string>()

  return {
    offer(progress, batch) {
      const key = partitionKey(progress)
      const earlier = waiting.get(key)?.batches ?? []
      waiting.set(key, { progress, batches: batch === undefined ? earlier : [...earlier, batch] })
      sendNext()
    },
    tick: sendNext,
    pending(partitions) {
      return partitions.some(partition => {
        const key = partitionKey(partition)
        return waiting.has(key) || (inFlight?.has(key) ?? false)
      })
    },
    forget(partitions) {
      for (const partition of partitions) {
        const key = partitionKey(partition)
        waiting.delete(key)
        if (inFlight?.has(key)) forgotten.add(key)
      }
    },
  }
}
