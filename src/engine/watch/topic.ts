import { dispositionOf } from '../errors.ts'
import type { Clock } from '../ports.ts'
import { askAgain } from './ask-again.ts'
import { requestReposition, type Views } from './view.ts'

export interface TopicParts {
  /** Kafka's id of the topic as it is now; `undefined` when that cannot be known. */
  readonly readTopicId: () => Promise<string | undefined>
  readonly views: Views
  readonly clock: Clock
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
 * Notices a topic that is deleted and created again while it is read. The group may never notice: where that takes less than a refresh
 * of the client's metadata, it continues to read at the old offsets.
 */
export function watchTopic({ readTopicId, views, clock }: TopicParts): TopicWatch {
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
      for (const view of views.all()) requestReposition(view, 'topic_replaced')
    }),
  }
}
