import { readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import pg from 'pg'
import { type KafkaInspector, startInspector } from '#src/engine/kafka/inspector.ts'
import type { Replica } from '../support/faults/replica.ts'
import type { World } from '../support/faults/world.ts'
import type { Verdicts } from './invariants.ts'
import { createWatermark, type Watermark } from './watermark.ts'

/** Looks at the world from outside all the while: the database's view, the broker's, and each process's. */
export interface Sampler {
  /**
   * Since when every partition of these streams moves without a longer stop, in ms of `performance.now()`, and that for a while already;
   * `undefined` while it is not so. The first movement after a fault is not enough: what was fetched before it may still be
   * settled, and the group fall apart thereafter.
   * @param after looks only at what came later
   * @param streams their names; all of them by default
   */
  steadySince(after: number, streams?: readonly string[]): number | undefined
  /** The longest time that some partition stood still, in ms, of those that ended after `from` and began before `to`. */
  longestGap(from: number, to: number): number
  readonly maxRssBytes: number
  stop(): Promise<void>
}

const EVERY_MS = 200
/** A running process that does not answer for this long counts as dead. */
const SILENT_MS = 10_000
/** What a replica may take; its figures from a drained backlog are below 300 MB. */
const MAX_RSS_BYTES = 512 * 1024 * 1024

/** What is looked at of one stream. */
interface Sight {
  readonly name: string
  readonly topic: string
  readonly partitions: readonly number[]
  readonly inspector: KafkaInspector
  readonly progress: Watermark
}

export async function startSampler(
  world: World,
  partitions: Readonly<Record<string, number>>,
  verdicts: Verdicts,
): Promise<Sampler> {
  const stopping = new AbortController()
  const now = () => performance.now()
  const pool = new pg.Pool({
    connectionString: world.postgres.url,
    max: 2 * world.streams.length,
    connectionTimeoutMillis: 1_000,
    query_timeout: 2_000,
  })
  pool.on('error', () => {})
  pool.on('connect', client => client.on('error', () => {}))
  const sights = await Promise.all(
    world.streams.map(
      async ({ name, topic, groupId }): Promise<Sight> => ({
        name,
        topic,
        partitions: Array.from({ length: partitions[name] ?? 0 }, (_, partition) => partition),
        inspector: await startInspector({ connection: world.config.kafka, groupId }),
        progress: createWatermark(`progress of ${name}`, verdicts, now),
      }),
    ),
  )
  let maxRssBytes = 0

  async function readProgress(topic: string): Promise<Map<number, bigint>> {
    const { rows } = await pool.query<{ partition: number; next_offset: string }>(
      'SELECT partition, next_offset FROM holdfast.stream_progress WHERE topic = $1',
      [topic],
    )
    return new Map(rows.map(row => [row.partition, BigInt(row.next_offset)]))
  }

  async function lookAtProgress({ topic, progress }: Sight): Promise<void> {
    for (const [partition, offset] of await readProgress(topic)) progress.saw(partition, offset)
  }

  /** First Kafka's commits, then progress: what is committed at any moment must be settled at a later one. */
  async function lookAtCommits({ topic, partitions, inspector }: Sight): Promise<void> {
    const committed = await inspector.committed(partitions.map(partition => ({ topic, partition })))
    const settled = await readProgress(topic)
    for (const { partition, nextOffset } of committed) {
      verdicts.checked('I6')
      const reached = settled.get(partition) ?? 0n
      if (nextOffset > reached)
        verdicts.violated(
          'I6',
          `partition ${partition} of ${topic}: ${nextOffset} is committed, progress is ${reached}`,
        )
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

  /** An unavailable server is no violation; the next sample follows soon. */
  async function every(look: () => Promise<void>): Promise<void> {
    while (!stopping.signal.aborted) {
      await look().catch(() => {})
      await wait(EVERY_MS, undefined, { signal: stopping.signal }).catch(() => {})
    }
  }

  const running = Promise.all([
    ...sights.flatMap(sight => [every(() => lookAtProgress(sight)), every(() => lookAtCommits(sight))]),
    ...world.replicas.map(replica => every(() => lookAtReplica(replica))),
  ])

  return {
    steadySince(after, streams) {
      const among = sights.filter(({ name }) => streams?.includes(name) ?? true)
      const moments = among.map(({ partitions, progress }) => progress.steadySince(partitions, after))
      return moments.every(moment => moment !== undefined) ? Math.max(...moments) : undefined
    },
    longestGap: (from, to) => Math.max(...sights.map(({ progress }) => progress.longestGap(from, to))),
    get maxRssBytes() {
      return maxRssBytes
    },
    async stop() {
      stopping.abort()
      await running
      await Promise.all(sights.map(({ inspector }) => inspector[Symbol.asyncDispose]()))
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

/** The resident memory of a process; `undefined` where the system has no `/proc`. */
function rssOf(pid: number): number | undefined {
  try {
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024
  } catch {
    return undefined
  }
}
