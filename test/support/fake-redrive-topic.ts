import { HEADER, headerText } from '#src/engine/headers.ts'
import type { DeadLetterRecords } from '#src/inbox/ports.ts'
import type { RedriveTopic } from '#src/inbox/redrive-work.ts'
import { aRecord } from './records.ts'

/** A topic that takes everything; `arrived` are the ids of the dead letters, in the order of arrival. Kept to the port by its suite. */
export function aFakeRedriveTopic(): { readonly topic: RedriveTopic; readonly arrived: readonly string[] } {
  const log: { readonly partition: number; readonly id: string; readonly redriveId: string }[] = []
  const of = (partition: number) => log.filter(entry => entry.partition === partition)
  const topic: RedriveTopic = {
    ends: async partitions => new Map(partitions.map(partition => [partition, BigInt(of(partition).length)])),
    async published(redriveId, since) {
      const published = [...since].flatMap(([partition, from]) => of(partition).slice(Number(from)))
      return new Set(published.flatMap(entry => (entry.redriveId === redriveId ? [entry.id] : [])))
    },
    async publish(record) {
      const { partition } = record
      log.push({
        partition,
        id: headerText(record, HEADER.id) ?? '',
        redriveId: headerText(record, HEADER.redriveId) ?? '',
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
