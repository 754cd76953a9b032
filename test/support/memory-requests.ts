import type { ManualPause, MoveRequest, RequestStore } from '#src/engine/operator.ts'
import type { TopicPartition } from '#src/engine/record.ts'
import type { MemoryStore } from './memory-store.ts'

/** What operators ask of a stream, in memory; `test/contract/stream-control.test.ts` is about the real ones. */
export interface MemoryRequests extends RequestStore {
  readonly pauses: ManualPause[]
  readonly moves: MoveRequest[]
  /** @param partition `undefined`: the whole stream */
  pause(partition: number | undefined): void
  resume(partition: number | undefined): void
  ask(partition: number, to: bigint): void
}

/** @param move what carries a move out: usually {@link moverOf} */
export function createMemoryRequests(move: (partition: number, to: bigint) => bigint | undefined): MemoryRequests {
  const pauses: ManualPause[] = []
  const moves: MoveRequest[] = []
  let number = 0
  return {
    pauses,
    moves,
    pause(partition) {
      pauses.push({ partition, by: 'ada', because: 'a drill', sinceMs: 1_700_000_000_000 })
    },
    resume(partition) {
      const at = pauses.findIndex(pause => pause.partition === partition)
      if (at >= 0) pauses.splice(at, 1)
    },
    ask(partition, to) {
      number += 1
      moves.push({ id: String(number), partition, to })
    },
    async read() {
      await Promise.resolve()
      return { pauses: [...pauses], moves: [...moves] }
    },
    async move({ id }) {
      await Promise.resolve()
      const at = moves.findIndex(asked => asked.id === id)
      const [asked] = at < 0 ? [] : moves.splice(at, 1)
      return asked && { from: move(asked.partition, asked.to) }
    },
  }
}

/** Moves progress in the store of a group, as `holdfast seek` does. */
export function moverOf(store: MemoryStore<string>, { topic }: Pick<TopicPartition, 'topic'>, groupId: string) {
  return (partition: number, to: bigint) => {
    const from = store.progressOf({ topic, partition }, groupId)
    store.seek({ topic, partition }, groupId, to)
    return from
  }
}
