import type { DeadLetter } from '../core/dead-letter.ts'
import type { DeadLetterSink } from '../core/ports.ts'
import { type RetryContext, type RetryParts, retrying } from './retry.ts'

/**
 * Sets records aside. Resolves once the dead-letter topic has acknowledged each one, because only then may the batch be
 * settled. When some of them fail, only those are sent again: after a crash a dead letter may stand twice in the topic
 * (with the same id), but not because we were impatient.
 */
export async function divert(
  deadLetters: readonly DeadLetter[],
  sink: DeadLetterSink,
  parts: RetryParts,
  context: RetryContext,
): Promise<void> {
  let pending = deadLetters
  if (pending.length === 0) return
  await retrying(
    async () => {
      const failed: DeadLetter[] = []
      let failure: unknown
      const sent = pending.map(async deadLetter => {
        try {
          await sink.send(deadLetter)
        } catch (error) {
          failed.push(deadLetter)
          failure = error
        }
      })
      await Promise.all(sent)
      pending = failed
      if (failed.length > 0) throw failure
    },
    parts,
    context,
  )
}
