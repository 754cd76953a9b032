import { HEADER, headerText } from '#src/engine/headers.ts'
import type { DeadLetterRecords } from '#src/inbox/ports.ts'
import type { ReplayTopic } from '#src/inbox/replay.ts'
import { aRecord } from './records.ts'

/** A topic that takes everything; `arrived` are the ids of the dead letters, in the order of arrival. Kept to the port by its suite. */
export function aFakeReplayTopic(): { readonly topic: ReplayTopic; readonly arrived: readonly string[] } {
  const log: { readonly partition: number; readonly id: string; readonly replayId: string }[] = []
  const of = (partition: number) => log.filter(entry => entry.partition === partition)
  const topic: ReplayTopic = {
    ends: async partitions => new Map(partitions.map(partition => [partition, BigInt(of(partition).length)])),
    async published(replayId, since) {
      const published = [...since].flatMap(([partition, from]) => of(partition).slice(Number(from)))
      return new Set(published.flatMap(entry => (entry.replayId === replayId ? [entry.id] : [])))
    },
    async publish(record) {
      const { partition } = record
      log.push({
        partition,
        id: headerText(record, HEADER.id) ?? '',
        replayId: headerText(record, HEADER.replayId) ?? '',
      })
      return 'acknowledged'
    },
    async [Symbol.asyncDispose]() {},
  }
  return {
    topic,
    get arrived() {
      return log.map(({ id }) => id)
    },
  }
}

/** Bytes for every dead letter that is asked for. */
export const fakeLetterRecords: Pick<DeadLetterRecords, 'read'> = {
  async *read(places) {
    for (const { id } of places) yield { id, record: aRecord({ text: id }) }
  },
}
