import type { Clock } from '../core/ports.ts'
import { askAgain } from './ask-again.ts'

export interface TopicWatchParts {
  /** Kafka's id of the topic as it is now; `undefined` when that cannot be known. */
  readonly readTopicId: () => Promise<string | undefined>
  readonly clock: Clock
  /** The topic is not the one any more in which our positions count. */
  readonly onReplaced: () => void
}

export interface TopicWatch {
  /** Positions are about to be found: asks, and remembers the answer. @throws BrokerUnavailableError */
  read(): Promise<string | undefined>
  /** Looks when it is time to; it waits for nothing. */
  tick(): void
}

const INTERVAL_MS = 15_000

/**
 * Notices a topic that is deleted and made anew under our feet. The group may never notice: where that takes less than a refresh
 * of the client's metadata, it goes on reading at the old offsets.
 */
export function watchTopic({ readTopicId, clock, onReplaced }: TopicWatchParts): TopicWatch {
  let known: string | undefined

  return {
    async read() {
      const found = await readTopicId()
      known = found ?? known
      return found
    },
    tick: askAgain(clock, INTERVAL_MS, async () => {
      const before = known
      if (before === undefined) return
      const found = await readTopicId()
      if (found === undefined || found === before || known !== before) return
      known = found
      onReplaced()
    }),
  }
}
