import { StoreUnavailableError } from '../../engine/errors.ts'
import type { Clock } from '../../engine/ports.ts'
import {
  type LoadedItem,
  type PageMarks,
  REDRIVE_SEND_WINDOW_MS,
  type RedriveInHand,
  type RedriveItem,
  type RedriveStore,
  type RedriveTopic,
} from '../redrive-work.ts'
import { toRedrivenRecord } from '../redriven-record.ts'
import type { Pace } from './pace.ts'

export interface TopicPagesParts {
  readonly redrive: RedriveInHand
  readonly store: RedriveStore
  readonly topic: RedriveTopic
  readonly clock: Clock
  readonly pace: Pace
  /** Aborts when the turn is over, and when another worker has it. */
  readonly over: AbortSignal
  /** For how long nothing was heard of the tables, in ms. */
  readonly silentMs: () => number
  /** With their bytes; those whose bytes are gone are skipped. */
  readonly load: (items: readonly RedriveItem[]) => Promise<readonly LoadedItem[]>
  readonly report: (published: number, failed: number, skipped: number) => void
}

/** Pages of a redrive to the topic: noted before they are published, so that a successor finds what has arrived of them. */
export interface TopicPages {
  /** @throws StoreUnavailableError BrokerUnavailableError: the page is begun, and goes on with {@link resume} */
  begin(items: readonly RedriveItem[]): Promise<void>
  /** @param marks what was noted of the partitions when the page was begun */
  resume(items: readonly RedriveItem[], marks: PageMarks): Promise<void>
}

export function createTopicPages(parts: TopicPagesParts): TopicPages {
  const { redrive, store, topic, clock, pace, over, report } = parts
  const { id } = redrive

  return {
    async begin(items) {
      const page = await parts.load(items)
      if (page.length === 0) return
      const partitions = [...new Set(page.map(({ item }) => item.origin.partition))]
      const ids = page.map(({ item }) => item.id)
      const claimed = await store.claim(redrive, ids, await topic.ends(partitions))
      if (claimed.size < ids.length) report(0, 0, ids.length - claimed.size)
      await publish(
        page.filter(({ item }) => claimed.has(item.id)),
        0,
      )
    },

    async resume(items, marks) {
      // Begun before, by a worker that is gone or with a broker that was: what of it has arrived is not sent again.
      const arrived = await topic.published(id, marks)
      const known = items.filter(item => arrived.has(item.id))
      if (known.length > 0)
        await store.notePublished(
          redrive,
          known.map(item => item.id),
        )
      const missing = items.filter(item => !arrived.has(item.id))
      await publish(await parts.load(missing), known.length)
    },
  }

  /** @param before how many of the page had arrived already */
  async function publish(page: readonly LoadedItem[], before: number): Promise<void> {
    const acknowledged: string[] = []
    const refused: string[] = []
    let failure: { readonly error: unknown } | undefined
    let failed = 0
    const underWay: Promise<void>[] = []
    for (const { item, letter } of page) {
      await whenDue()
      if (parts.silentMs() > REDRIVE_SEND_WINDOW_MS) {
        failure ??= { error: new StoreUnavailableError('the tables of redrives could not be read for seconds') }
      }
      // The page is not given up for a wish; but nothing more is sent after a failure, or once another one has it.
      if (failure !== undefined || over.aborted) break
      pace.take()
      const sent = topic.publish(toRedrivenRecord(letter, item, id)).then(
        answer => void (answer === 'acknowledged' ? acknowledged : refused).push(item.id),
        (error: unknown) => {
          failure ??= { error }
          failed += 1
        },
      )
      underWay.push(sent)
    }
    await Promise.all(underWay)
    report(acknowledged.length + before, failed, refused.length)
    if (acknowledged.length > 0) await store.notePublished(redrive, acknowledged)
    if (refused.length > 0) await store.noteSkipped(redrive, refused, 'refused_by_topic')
    if (failure !== undefined) throw failure.error
    over.throwIfAborted()
  }

  async function whenDue(): Promise<void> {
    for (let ms = pace.dueInMs(); ms > 0 && !over.aborted; ms = pace.dueInMs()) await clock.sleep(ms, over)
  }
}
