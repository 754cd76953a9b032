/** Waiting for programs to work off topics, without joining their groups. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type KafkaInspector, startInspector } from '#src/engine/kafka/inspector.ts'
import { partitionKey } from '#src/engine/record.ts'
import type { GuardedProcess } from '#tools/demo/servers/guarded-process.ts'
import { logTail } from '#tools/demo/servers/machine.ts'
import type { Servers } from './servers.ts'
import type { Consumed } from './service.ts'

export interface Watched {
  readonly process: GuardedProcess
  readonly logFile: string
}

const LOOK_EVERY_MS = 50
/** Without any progress for this long, the run fails. */
const STALLED_AFTER_MS = 60_000
/** What is started may have to be fetched or built first. */
export const START_WITHIN_MS = 600_000

/**
 * Asks every 50 ms until there is an answer.
 * @param look calls `progress` with where the work stands
 * @throws Error with the end of the log when a process ends early or all stand still
 */
export async function watching<T>(
  programs: readonly Watched[],
  look: (progress: (at: string) => void) => Promise<T | undefined> | T | undefined,
  stalledAfterMs = STALLED_AFTER_MS,
): Promise<T> {
  let last = ''
  let movedAt = performance.now()
  for (;;) {
    // Seen before it is asked: what ends in between may have done its work.
    const ended = programs.find(({ process }) => !process.running)
    const found = await look(at => {
      if (at !== last) movedAt = performance.now()
      last = at
    })
    if (found !== undefined) return found
    const stalled = performance.now() - movedAt > stalledAfterMs
    if (ended !== undefined || stalled) {
      const logFile = (ended ?? programs[0])?.logFile ?? ''
      const what = ended === undefined ? `stands still${last === '' ? '' : ` (${last})`}` : 'has ended'
      throw new Error(`the program ${what}; the end of ${logFile}:\n${logTail(logFile)}`)
    }
    await sleep(LOOK_EVERY_MS)
  }
}

/** What is committed of topics. */
export interface Commits extends AsyncDisposable {
  /** Partitions whose end is not committed, with what is: `orders-3 at 120`. */
  open(): Promise<string[]>
  /** Whether nothing has been committed of any. */
  none(): Promise<boolean>
}

export async function watchCommits(servers: Servers, topics: readonly Consumed[]): Promise<Commits> {
  const inspectors = new AsyncDisposableStack()
  const inspected: (readonly [Consumed, KafkaInspector])[] = []
  for (const topic of topics) {
    const inspector = await startInspector({ connection: servers.connection, groupId: topic.groupId })
    inspected.push([topic, inspectors.use(inspector)])
  }
  async function positions() {
    const found = await Promise.all(inspected.map(([topic, inspector]) => positionsOf(inspector, topic)))
    return found.flat()
  }
  return {
    async open() {
      const open = (await positions()).filter(({ at, end }) => at !== end)
      return open.map(({ partition, at }) => `${partition} at ${at}`)
    },
    async none() {
      return (await positions()).every(({ at }) => at === 0n)
    },
    [Symbol.asyncDispose]: () => inspectors.disposeAsync(),
  }
}

async function positionsOf(inspector: KafkaInspector, { topic, ends }: Consumed) {
  const committed = await inspector.committed(ends.map((_, partition) => ({ topic, partition })))
  const byKey = new Map(committed.map(position => [partitionKey(position), position.nextOffset]))
  return ends.map((end, partition) => {
    const key = partitionKey({ topic, partition })
    return { partition: key, at: byKey.get(key) ?? 0n, end }
  })
}
