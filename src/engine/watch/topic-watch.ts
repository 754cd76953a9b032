import { dispositionOf } from '../../core/errors.ts'
import type { Clock } from '../ports.ts'
import { askAgain } from './ask-again.ts'

export interface TopicWatchParts {
  /** Kafka's id of the topic as it is now; `undefined` when that cannot be known. */
  readonly readTopicId: () => Promise<string | undefined>
  readonly clock: Clock
  /** The topic is not the one any more in which our positions count. */
  readonly onReplaced: () => void
}

export interface TopicWatch {
  /**
   * Positions are about to be found: asks, and remembers the answer. Where Kafka does not answer, the id is not known, and the
   * positions are found once more when it does: that must not hold up the stream.
   */
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
  let unanswered = false

  return {
    async read() {
      try {
        const found = await readTopicId()
        unanswered = false
        known = found ?? known
        return found
      } catch (error) {
        if (dispositionOf(error) !== 'retry') throw error
        unanswered = true
        return undefined
      }
    },
    tick: askAgain(clock, INTERVAL_MS, async () => {
      const before = known
      if (before === undefined && !unanswered) return
      const found = await readTopicId()
      if (found === undefined || known !== before || (found === before && !unanswered)) return
      known = found
      unanswered = false
      onReplaced()
    }),
  }
}
