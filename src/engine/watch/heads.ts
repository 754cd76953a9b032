import { UnreadableBatchError } from '../errors.ts'
import type { Clock, HeadReader } from '../ports.ts'
import { askAgain } from './ask-again.ts'
import { isRunning, lags } from './rules.ts'
import { type PartitionView, requestReposition, type Views } from './view.ts'

export interface HeadsParts {
  readonly reader: Pick<HeadReader, 'headAt'>
  readonly views: Views
  readonly clock: Clock
}

/** The fetch that is under way brings the record, usually. */
const PATIENCE_MS = 2_000
/** Between two questions, and before the same one again when there was no answer. */
const PAUSE_MS = 500
const RETRY_MS = 10_000

/**
 * Looks up the record that a partition is to settle next, where none is in hand: a partition that was paused before it fetched anything
 * has a lag of some age all the same. Or finds that there is none, where the last offsets hold no record.
 * @returns asks about one partition when it is time to; it waits for nothing
 */
export function pollHeads({ reader, views, clock }: HeadsParts): () => void {
  async function ask(view: PartitionView): Promise<void> {
    const { topic, partition, settled: offset } = view.owner
    const askedAtMs = clock.monotonic()
    try {
      const head = await reader.headAt({ topic, partition, nextOffset: offset })
      view.head = { offset, head, askedAtMs }
    } catch (error) {
      view.head = { offset, head: undefined, askedAtMs }
      // The client may keep that to itself, when it has records of other partitions to deliver.
      if (error instanceof UnreadableBatchError) requestReposition(view, 'unreadable')
    }
  }

  return askAgain(clock, PAUSE_MS, async () => {
    const nowMs = clock.monotonic()
    const due = views.all().filter(view => isDue(view, nowMs))
    const [longest] = [...due].sort((a, b) => (a.head?.askedAtMs ?? 0) - (b.head?.askedAtMs ?? 0))
    if (longest !== undefined) await ask(longest)
  })
}

function isDue(view: PartitionView, nowMs: number): boolean {
  const { owner, head } = view
  const isBehind = owner.oldestUnsettledTimestampMs === undefined && isRunning(owner) && lags(view, nowMs)
  view.behindSinceMs = isBehind ? (view.behindSinceMs ?? nowMs) : undefined
  if (view.behindSinceMs === undefined) return false
  const wasPatient = nowMs - view.behindSinceMs >= PATIENCE_MS
  if (head?.offset !== owner.settled) return wasPatient
  if (head.head === undefined) return nowMs - head.askedAtMs > RETRY_MS
  // It has grown beyond what was found to be empty.
  return 'emptyTo' in head.head && wasPatient
}
