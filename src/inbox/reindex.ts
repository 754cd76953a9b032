import type { Watermarks } from '../engine/ports.ts'
import type { Judge } from './check.ts'
import { type DlqTopic, type LetterCopy, toLetterCopy } from './reindex-rules.ts'

/** What there is to read: everything that the topic held when it was asked. */
export interface DlqReading {
  /** Ends of its partitions; what is written behind them is not read. */
  readonly ends: ReadonlyMap<number, bigint>
  /** Where they end when this is asked. @throws BrokerUnavailableError */
  endsNow(): Promise<ReadonlyMap<number, bigint>>
  /** Offsets between the beginnings and the ends: no fewer than there are records. */
  readonly offsets: number
  /** Every record as a letter, partition by partition, many at a time. */
  copies(): AsyncIterable<readonly LetterCopy[]>
}

const PAGE = 1_000

/** @throws BrokerUnavailableError */
export async function readDlqTopic(topic: DlqTopic, judge: Judge): Promise<DlqReading> {
  const partitions = await look(topic)
  return {
    ends: endsOf(partitions),
    endsNow: async () => endsOf(await look(topic)),
    offsets: partitions.reduce((sum, { low, high }) => sum + Number(high - low), 0),
    async *copies() {
      for (const { partition, low, high } of partitions) {
        let page: LetterCopy[] = []
        for await (const record of topic.read(partition, low, high)) {
          page.push(toLetterCopy(record, judge))
          if (page.length < PAGE) continue
          yield page
          page = []
        }
        if (page.length > 0) yield page
      }
    },
  }
}

interface Looked extends Watermarks {
  readonly partition: number
}

async function look(topic: DlqTopic): Promise<Looked[]> {
  const partitions = await topic.partitions()
  return await Promise.all(partitions.map(async partition => ({ partition, ...(await topic.watermarks(partition)) })))
}

function endsOf(partitions: readonly Looked[]): ReadonlyMap<number, bigint> {
  return new Map(partitions.map(({ partition, high }) => [partition, high]))
}
