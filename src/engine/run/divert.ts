import type { DeadLetter, Rejection } from '../dead-letter.ts'
import type { DeadLetterSink } from '../ports.ts'
import type { ReadyRecord } from '../verdict.ts'
import { type RetryContext, type RetryParts, retrying } from './retry.ts'

/**
 * Sets records aside. Resolves once the dead-letter topic has acknowledged each one, because only then may the batch be
 * settled. When some of them fail, only those are sent again: after a crash a dead letter may stand twice in the topic
 * (with the same id), but not because we were impatient.
 * @returns the dead letters, each with its position in that topic
 */
export async function divert(
  deadLetters: readonly DeadLetter[],
  sink: DeadLetterSink,
  parts: RetryParts,
  context: RetryContext,
): Promise<readonly DeadLetter[]> {
  if (deadLetters.length === 0) return deadLetters
  const acknowledged: DeadLetter[] = []
  let pending = [...deadLetters.entries()]
  await retrying(
    async () => {
      const failed: typeof pending = []
      let failure: unknown
      const sent = pending.map(async ([index, deadLetter]) => {
        try {
          acknowledged[index] = { ...deadLetter, dlq: await sink.send(deadLetter) }
        } catch (error) {
          failed.push([index, deadLetter])
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
  return acknowledged
}

/** Where, when and by which group a record is set aside, and after how many attempts. */
export interface SettingAside {
  readonly groupId: string
  /** Wall clock in ms. */
  readonly failedAtMs: number
  readonly attempts: number
}

/** @param failed its key where it is known: of a record that cannot be decoded, it is not */
export function toDeadLetter(
  {
    record,
    origin,
    key,
    redrive,
  }: Pick<ReadyRecord<unknown>, 'record' | 'origin' | 'redrive'> & { readonly key: string | null },
  rejection: Rejection,
  { groupId, failedAtMs, attempts }: SettingAside,
): DeadLetter {
  return {
    record,
    origin,
    rejection,
    failedAtMs,
    attempts,
    redriveCount: redrive?.redriveCount ?? 0,
    redriveId: redrive?.redriveId,
    key,
    groupId,
  }
}
