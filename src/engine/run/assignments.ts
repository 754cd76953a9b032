import { dispositionOf, OwnershipLostError, UnreadableBatchError } from '../../core/errors.ts'
import type { Observer } from '../../core/facts.ts'
import type { StartAt } from '../../core/progress.ts'
import { partitionKey, type TopicPartition } from '../../core/record.ts'
import type { Clock, HeadReader, Progress, RecordSource, SourceEvent } from '../ports.ts'
import type { SettlementStore } from '../settlement.ts'
import type { StatusBoard } from '../watch/status-board.ts'
import type { Committer } from './commit.ts'
import { createOwnedPartition, type OwnedPartition } from './partition.ts'
import { locate, type Position } from './position.ts'
import type { Reception } from './receive.ts'
import { type RetryParts, retrying } from './retry.ts'

/** Which partitions are ours, and where each goes on. The loop's side: it answers the consumer and moves it. */
export interface Assignments {
  /** Answers what the group gave or took away. */
  on(event: SourceEvent): Promise<void>
  /** Its buffer and its progress do not fit together any more: if it is still ours, it is to start where its progress is. */
  startAnew(owner: OwnedPartition): void
  /** As {@link startAnew}, because its reading failed: what stands there is looked at first. */
  startAnewWithCare(owner: OwnedPartition): void
  /** Does so with those that are due. */
  reposition(): Promise<void>
  /** Stops handing over, lets what is in flight end within the bound, and commits it. @returns whether all of it ended */
  drain(partitions: readonly OwnedPartition[], boundMs: number): Promise<boolean>
}

export interface AssignmentsParts {
  readonly source: RecordSource
  readonly store: Pick<SettlementStore<unknown>, 'readProgress' | 'startProgress' | 'identify' | 'expire'>
  readonly observer: Observer
  readonly clock: Clock
  readonly groupId: string
  readonly retry: RetryParts
  readonly reception: Reception
  readonly committer: Committer
  readonly board: StatusBoard
  /** Aborts when the stream stops. */
  readonly signal: AbortSignal
  readonly drainTimeoutMs: () => number
  /** Where a partition without a progress row starts. */
  readonly startAt: StartAt
  /** Of the topic as it is now; `undefined` when that cannot be known. */
  readonly readTopicId: () => Promise<string | undefined>
  /** Tells why reading a partition failed. Default: it stays unknown. */
  readonly heads?: HeadReader | undefined
  /** One turn of the loop: while something is awaited, the consumer must be served. */
  readonly turn: () => Promise<void>
  readonly onAssigned: () => void
  /** The stream cannot go on. */
  readonly onFailure: (error: unknown) => void
}

const COMMIT_TIMEOUT_MS = 5_000
/** A partition that keeps losing its fence is fought over: do not fight at full speed. */
const REPOSITION_PAUSE_MS = 1_000

export function createAssignments(parts: AssignmentsParts): Assignments {
  const { source, store, observer, clock, groupId, retry, reception, committer, board } = parts
  const { signal, drainTimeoutMs, readTopicId, turn } = parts
  /** Had a progress row while this process ran. Where that is gone, the database went back: nothing may be skipped. */
  const hadProgress = new Set<string>()
  const repositionedAt = new Map<string, number>()
  const toReposition = new Map<string, OwnedPartition>()
  /** Those of them whose reading failed. */
  const doubted = new Set<string>()

  function startAnew(owner: OwnedPartition): void {
    toReposition.set(owner.key, owner)
  }

  function startAnewWithCare(owner: OwnedPartition): void {
    doubted.add(owner.key)
    startAnew(owner)
  }

  async function probe(at: Progress): Promise<void> {
    if (!doubted.has(partitionKey(at))) return
    // What else goes wrong says nothing of the record.
    await parts.heads?.headAt(at).catch((error: unknown) => {
      if (error instanceof UnreadableBatchError) throw error
    })
  }

  /** Keeps the consumer served while something else is awaited. Never longer than the bound. */
  async function turningUntil(done: Promise<unknown>, timeoutMs: number): Promise<boolean> {
    let finished = false
    const finish = () => {
      finished = true
    }
    done.then(finish, finish)
    const deadline = clock.monotonic() + timeoutMs
    while (!finished && clock.monotonic() < deadline) await turn()
    return finished
  }

  /** Positions of these partitions, however long the store or the broker are away; undefined when we stop meanwhile. */
  async function locateServed(partitions: readonly TopicPartition[]): Promise<Position[] | undefined> {
    const [first] = partitions
    if (first === undefined) return []
    for (;;) {
      let overtaken = false
      const startAt = (partition: TopicPartition) =>
        hadProgress.has(partitionKey(partition)) ? 'earliest' : parts.startAt
      const locating = { source, store, observer, clock, groupId, startAt, readTopicId, probe }
      const located = retrying(() => locate(partitions, locating), retry, {
        dependency: 'postgres',
        partition: first,
        signal,
      }).catch((error: unknown) => {
        if (!(error instanceof OwnershipLostError)) parts.onFailure(error)
        overtaken = !signal.aborted
        return undefined
      })
      await turningUntil(located, Number.POSITIVE_INFINITY)
      // A batch that somebody (this process before a rebalance, say) had still in flight moved the progress after it was
      // read. The partitions are ours all the same: giving up here would leave them to nobody.
      if (!overtaken) return await located
    }
  }

  async function onAssigned(partitions: readonly TopicPartition[]): Promise<void> {
    const positions = await locateServed(partitions)
    if (positions === undefined) return source.assign([])
    // Owned before the consumer may deliver: a record of a partition that is not ours is dropped.
    for (const position of positions) reception.add(createOwnedPartition(position))
    source.assign(positions.map(fetchPosition))
    // At once, so that nothing is fetched at a position that is only a guess.
    if (positions.some(({ unlocated }) => unlocated !== undefined)) reception.applyPauses(clock.now())
    board.member = true
    parts.onAssigned()
    started(positions)
  }

  /** These partitions go on, but for those whose position is not known: they wait until Kafka answers for them. */
  function started(positions: readonly Position[]): void {
    const located = positions.filter(({ unlocated }) => unlocated === undefined)
    for (const position of located) hadProgress.add(partitionKey(position))
    commitLagging(located)
    if (located.length > 0 || positions.length === 0) observer.observe({ kind: 'assigned', positions: located })
  }

  /**
   * Kafka's offset follows the progress also where no record comes any more: else a crash between transaction and
   * commit would show as lag until the next one.
   */
  function commitLagging(positions: readonly Position[]): void {
    for (const { topic, partition, nextOffset, uncommitted } of positions) {
      if (uncommitted) committer.settled({ topic, partition, nextOffset })
    }
  }

  async function drain(partitions: readonly OwnedPartition[], boundMs: number): Promise<boolean> {
    for (const partition of partitions) partition.close()
    const drained = await turningUntil(Promise.all(partitions.map(partition => partition.idle())), boundMs)
    // Beyond the bound the fence protects the next owner: whatever these still do, only one of both can advance.
    for (const partition of partitions) partition.abandon()
    const deadline = clock.monotonic() + COMMIT_TIMEOUT_MS
    while (committer.pending(partitions) && clock.monotonic() < deadline) await turn()
    committer.forget(partitions)
    return drained
  }

  async function onRevoked(partitions: readonly TopicPartition[], lost: boolean): Promise<void> {
    const gone = partitions.flatMap(partition => reception.owned.get(partitionKey(partition)) ?? [])
    let drained = false
    if (lost) {
      // The group has thrown us out, or we hear nothing of it: ready again with the next assignment, be it an empty one.
      board.member = false
      committer.forget(gone)
      for (const partition of gone) partition.abandon()
    } else {
      drained = await drain(gone, drainTimeoutMs())
    }
    for (const partition of gone) {
      reception.remove(partition)
      toReposition.delete(partition.key)
      doubted.delete(partition.key)
      board.forgets(partition.key)
    }
    source.unassign(partitions)
    observer.observe({ kind: 'revoked', partitions, lost, drained })
  }

  async function reposition(): Promise<void> {
    if (toReposition.size === 0) return
    const now = clock.monotonic()
    // Asked for twice (once more while it was being done, say): that assignment is over, and nobody drains its successor.
    for (const [key, partition] of toReposition) {
      if (reception.owned.get(key) !== partition) toReposition.delete(key)
    }
    const due = [...toReposition.values()].filter(
      partition => now - (repositionedAt.get(partition.key) ?? Number.NEGATIVE_INFINITY) > REPOSITION_PAUSE_MS,
    )
    if (due.length === 0) return
    for (const partition of due) toReposition.delete(partition.key)
    // What is still in flight may advance the progress: let it end before progress is read.
    await drain(due, drainTimeoutMs())
    const positions = (await locateServed(due.map(({ topic, partition }) => ({ topic, partition })))) ?? []
    for (const partition of due) doubted.delete(partition.key)
    const moved: Position[] = []
    for (const position of positions) if (await moveTo(position)) moved.push(position)
    // The pause counts from here: what is read now must get its chance to be settled.
    for (const partition of due) repositionedAt.set(partition.key, clock.monotonic())
    if (moved.length > 0) started(moved)
  }

  /**
   * Nothing is polled before the new buffer is in place: records that came in between would pass for a gap.
   * @returns whether it has been done
   */
  async function moveTo(position: Position): Promise<boolean> {
    const old = reception.owned.get(partitionKey(position))
    if (old === undefined) return false
    const owner = createOwnedPartition(position)
    if (position.unlocated !== undefined) {
      // It stays paused, or is paused before the next poll: what is fetched until then is dropped.
      owner.pausedFor = old.pausedFor
      owner.pausedSinceMs = old.pausedSinceMs
      reception.remove(position)
      reception.add(owner)
      return true
    }
    try {
      await source.seek(fetchPosition(position))
    } catch (error) {
      if (dispositionOf(error) !== 'retry') throw error
      const partition = { topic: old.topic, partition: old.partition }
      observer.observe({
        kind: 'retry',
        dependency: 'kafka',
        attempt: 1,
        delayMs: REPOSITION_PAUSE_MS,
        error,
        partition,
      })
      startAnew(old)
      return false
    }
    reception.remove(position)
    if (old.pausedFor.length > 0) source.resume([{ topic: old.topic, partition: old.partition }])
    reception.add(owner)
    return true
  }

  return {
    async on(event) {
      if (event.kind === 'assigned') await onAssigned(event.partitions)
      else if (event.kind === 'revoked') await onRevoked(event.partitions, event.lost)
      else for (const owner of reception.owned.values()) if (owner.halted === undefined) startAnewWithCare(owner)
    },
    startAnew,
    startAnewWithCare,
    reposition,
    drain,
  }
}

function fetchPosition({ topic, partition, fetchFrom }: Position): Progress {
  return { topic, partition, nextOffset: fetchFrom }
}
