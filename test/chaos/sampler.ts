import { readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import pg from 'pg'
import { startInspector } from '#src/engine/kafka/inspector.ts'
import type { TopicPartition } from '#src/engine/record.ts'
import type { Replica } from '../support/faults/replica.ts'
import type { World } from '../support/faults/world.ts'
import type { Verdicts } from './invariants.ts'
import { createWatermark } from './watermark.ts'

/** Looks at the world from outside all the while: the database's view, the broker's, and each process's. */
export interface Sampler {
  /**
   * Since when every partition moves without a longer stop, in ms of `performance.now()`, and that for a while already;
   * `undefined` while it is not so. The first movement after a fault is not enough: what was fetched before it may still be
   * settled, and the group fall apart thereafter.
   * @param after looks only at what came later
   */
  steadySince(after: number): number | undefined
  /** The longest time that some partition stood still, in ms, of those that ended after `from` and began before `to`. */
  longestGap(from: number, to: number): number
  /** Sum of the partitions' progress. */
  readonly settled: bigint
  readonly maxRssBytes: number
  stop(): Promise<void>
}

const EVERY_MS = 200
/** A process that runs and says nothing for so long does not live. */
const SILENT_MS = 10_000
/** What a replica may take; its figures from a drained backlog are below 300 MB. */
const MAX_RSS_BYTES = 512 * 1024 * 1024

export async function startSampler(world: World, partitions: number, verdicts: Verdicts): Promise<Sampler> {
  const stopping = new AbortController()
  const now = () => performance.now()
  const progress = createWatermark('progress', verdicts, now)
  const commits = createWatermark('the committed offset', verdicts, now)
  const pool = new pg.Pool({
    connectionString: world.postgres.url,
    max: 2,
    connectionTimeoutMillis: 1_000,
    query_timeout: 2_000,
  })
  pool.on('error', () => {})
  pool.on('connect', client => client.on('error', () => {}))
  const connection = { brokers: [world.kafka.brokers], security: {}, extra: {} }
  const inspector = await startInspector({ connection, groupId: world.groupId })
  const all: TopicPartition[] = Array.from({ length: partitions }, (_, partition) => ({
    topic: world.topic,
    partition,
  }))
  const partitionNumbers = all.map(({ partition }) => partition)
  let maxRssBytes = 0

  async function readProgress(): Promise<Map<number, bigint>> {
    const { rows } = await pool.query<{ partition: number; next_offset: string }>(
      'SELECT partition, next_offset FROM stream_progress WHERE topic = $1 AND group_id = $2',
      [world.topic, world.groupId],
    )
    return new Map(rows.map(row => [row.partition, BigInt(row.next_offset)]))
  }

  async function lookAtProgress(): Promise<void> {
    for (const [partition, offset] of await readProgress()) progress.saw(partition, offset)
  }

  /** First Kafka's commits, then progress: what is committed at any moment must be settled at a later one. */
  async function lookAtCommits(): Promise<void> {
    const committed = await inspector.committed(all)
    const settled = await readProgress()
    for (const { partition, nextOffset } of committed) {
      commits.saw(partition, nextOffset)
      verdicts.checked('I6')
      const reached = settled.get(partition) ?? 0n
      if (nextOffset > reached)
        verdicts.violated('I6', `partition ${partition}: ${nextOffset} is committed, progress is ${reached}`)
    }
  }

  const heardAt = new Map<number, number>()
  async function lookAtReplica(replica: Replica): Promise<void> {
    const { pid, url, state } = replica
    if (url === undefined || state !== 'running') {
      heardAt.delete(replica.slot)
      return
    }
    const since = heardAt.get(replica.slot) ?? performance.now()
    heardAt.set(replica.slot, since)
    maxRssBytes = Math.max(maxRssBytes, checkedRss(replica, verdicts))
    const status = await fetch(`${url}/livez`, { signal: AbortSignal.timeout(2_000) }).then(
      async response => (response.ok ? 'ok' : `${response.status}: ${await response.text()}`),
      () => undefined,
    )
    if (replica.pid !== pid || replica.state !== 'running') return
    verdicts.checked('I12')
    if (status === undefined) {
      const silentMs = performance.now() - since
      if (silentMs > SILENT_MS)
        verdicts.violated('I12', `replica ${replica.slot} has not answered for ${Math.round(silentMs)} ms`)
      return
    }
    heardAt.set(replica.slot, performance.now())
    if (status !== 'ok') verdicts.violated('I12', `replica ${replica.slot}: /livez answers ${status}`)
  }

  /** A server that is away is no finding of ours: the next look is soon. */
  async function every(look: () => Promise<void>): Promise<void> {
    while (!stopping.signal.aborted) {
      await look().catch(() => {})
      await wait(EVERY_MS, undefined, { signal: stopping.signal }).catch(() => {})
    }
  }

  const running = Promise.all([
    every(lookAtProgress),
    every(lookAtCommits),
    ...world.replicas.map(replica => every(() => lookAtReplica(replica))),
  ])

  return {
    steadySince: after => progress.steadySince(partitionNumbers, after),
    longestGap: progress.longestGap,
    get settled() {
      return progress.sum()
    },
    get maxRssBytes() {
      return maxRssBytes
    },
    async stop() {
      stopping.abort()
      await running
      await inspector[Symbol.asyncDispose]()
      await pool.end()
    },
  }
}

function checkedRss(replica: Replica, verdicts: Verdicts): number {
  const bytes = rssOf(replica.pid)
  if (bytes === undefined) return 0
  verdicts.checked('I11')
  if (bytes > MAX_RSS_BYTES)
    verdicts.violated('I11', `replica ${replica.slot} takes ${Math.round(bytes / 1024 / 1024)} MB`)
  return bytes
}

/** `undefined` where the system does not tell it so. */
function rssOf(pid: number): number | undefined {
  try {
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024
  } catch {
    return undefined
  }
}
