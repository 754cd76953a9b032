import { dispositionOf, OwnershipLostError, StoreUnavailableError, UnreadableBatchError } from '../errors.ts'
import type { Observer } from '../facts.ts'
import { pauseOf, type RequestStore } from '../operator.ts'
import type { Clock, HeadReader, Progress, RecordSource, SourceEvent } from '../ports.ts'
import type { StartAt } from '../progress.ts'
import { partitionKey, type TopicPartition } from '../record.ts'
import { retry } from '../retry.ts'
import type { SettlementStore } from '../settlement.ts'
import type { StreamView } from '../watch/status.ts'
import { isSuspect, requestReposition, type Views } from '../watch/view.ts'
import type { Committer } from './commit.ts'
import { createOwnedPartition, type OwnedPartition } from './partition.ts'
import { locate, type Position, unlocatedAt } from './position.ts'
import type { Reception } from './receive.ts'
import type { RetryParts } from './retry.ts'

/** Which partitions are ours, and where each goes on. The loop's side: it answers the consumer and moves it. */
export interface Assignments {
  /** Answers what the group gave or took away. */
  on(event: SourceEvent): Promise<void>
  /** Moves partitions whose view holds a reason to begin again to their progress. */
  reposition(): Promise<void>
  /** Stops handing over, lets what is in flight end within the bound, and commits it. @returns whether all of it ended */
  drain(partitions: readonly OwnedPartition[], boundMs: number): Promise<boolean>
}

export interface AssignmentsParts {
  readonly source: RecordSource
  readonly store: Pick<SettlementStore<unknown>, 'readProgress' | 'startProgress' | 'identify' | 'expire'>
  readonly requests: RequestStore
  readonly observer: Observer
  readonly clock: Clock
  readonly groupId: string
  readonly retry: RetryParts
  readonly reception: Reception
  readonly committer: Committer
  readonly views: Views
  readonly stream: StreamView
  /** Aborts when the stream stops. */
  readonly signal: AbortSignal
  readonly drainTimeoutMs: () => number
  /** Where a partition without a progress row starts. */
  readonly startAt: StartAt
  /** Kafka's id of the topic as it is now; `undefined` when that cannot be known. */
  readonly readTopicId: () => Promise<string | undefined>
  /** Finds out why reading a partition failed. Default: it stays unknown. */
  readonly heads?: HeadReader | undefined
  /** One turn of the loop: while something is awaited, the consumer must be served. */
  readonly turn: () => Promise<void>
}

const COMMIT_TIMEOUT_MS = 5_000
/** The group waits no longer for an answer: it removes a member that gives none within `max.poll.interval.ms`, and rebalances for it twice. */
const ANSWER_TIMEOUT_MS = 5_000
const LOCATE_AGAIN_MS = 2_000
/** A partition that keeps losing its fence is fought over: do not fight at full speed. */
const REPOSITION_PAUSE_MS = 1_000

/** An assignment that was answered before it was known where its partitions go on. */
interface Belated {
  /** Those of them that are still ours. */
  readonly waiting: Set<OwnedPartition>
  /** `undefined` while that is not known. */
  located: { readonly positions: readonly Position[] } | { readonly error: unknown } | undefined
  /** Ends the questions. */
  readonly end: AbortController
}

export function createAssignments(parts: AssignmentsParts): Assignments {
  const { source, store, requests, observer, clock, groupId, reception, committer, views, stream } = parts
  const { signal, drainTimeoutMs, readTopicId, turn } = parts
  /** Had a progress row while this process ran. Where that is gone, the database went back: nothing may be skipped. */
  const hadProgress = new Set<string>()
  const repositionedAt = new Map<string, number>()
  const belated = new Set<Belated>()

  async function probe(at: Progress): Promise<void> {
    const owner = reception.owned.get(partitionKey(at))
    if (owner === undefined || !isSuspect(views.of(owner)?.repositionFor)) return
    // Any other error is no evidence against the record.
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

  /**
   * Positions of these partitions, however long the store or the broker are away. Again, where a batch that was still in flight somewhere
   * (in this process before a rebalance, say) moved the progress after it was read: the partitions are ours all the same, and giving up
   * would leave them without a reader.
   * @param onFailed is called with what an attempt failed with, before the next one
   * @throws what stops the stream, and the reason of the signal
   */
  function locateAtLast(
    partitions: readonly TopicPartition[],
    ending: AbortSignal,
    onFailed: (error: unknown) => void = () => {},
  ): Promise<Position[]> {
    const startAt = (partition: TopicPartition) =>
      hadProgress.has(partitionKey(partition)) ? 'earliest' : parts.startAt
    const locating = { source, store, observer, clock, groupId, startAt, readTopicId, probe }
    return retry(
      async () => {
        // Before anything is read: a partition that an operator holds stays held, whichever process gets it.
        const { pauses } = await requests.read()
        const positions = await locate(partitions, locating)
        return positions.map(position => ({ ...position, manualPause: pauseOf(pauses, position.partition) }))
      },
      {
        ...parts.retry,
        signal: ending,
        // Nobody else waits for it, and once the store is back the partitions must not wait out a long backoff.
        maxMs: () => LOCATE_AGAIN_MS,
        passes: error => error instanceof OwnershipLostError || dispositionOf(error) === 'retry',
        onFailed({ error, attempt, delayMs }) {
          const [partition] = partitions
          if (error instanceof OwnershipLostError || partition === undefined) return
          onFailed(error)
          observer.observe({ kind: 'retry', dependency: 'postgres', attempt, delayMs, error, partition })
        },
      },
    )
  }

  /** Waits for work on the store while the consumer is served. @returns `undefined` when we stop meanwhile. @throws what stops the stream */
  async function served<R>(work: Promise<R>): Promise<R | undefined> {
    await turningUntil(work, Number.POSITIVE_INFINITY)
    try {
      return await work
    } catch (error) {
      if (signal.aborted) return undefined
      throw error
    }
  }

  /** Nothing of the partition is in flight any more, or what is will find the fence: it can be moved. */
  async function carryOutMove(owner: OwnedPartition): Promise<void> {
    const request = views.of(owner)?.move
    if (request === undefined) return
    const partition = { topic: owner.topic, partition: owner.partition }
    const moved = await served(
      retry(() => requests.move(request), {
        ...parts.retry,
        signal,
        onFailed({ error, attempt, delayMs }) {
          observer.observe({ kind: 'retry', dependency: 'postgres', attempt, delayMs, error, partition })
        },
      }),
    )
    if (moved !== undefined) observer.observe({ kind: 'moved', partition, from: moved.from, to: request.to })
  }

  async function onAssigned(partitions: readonly TopicPartition[]): Promise<void> {
    const end = new AbortController()
    let failure: unknown = new StoreUnavailableError('Postgres and Kafka have not said yet where it goes on')
    const locating = locateAtLast(partitions, AbortSignal.any([signal, end.signal]), error => {
      failure = error
    })
    if (!(await turningUntil(locating, ANSWER_TIMEOUT_MS))) {
      if (signal.aborted) return source.assign([])
      const later: Belated = { waiting: new Set(), located: undefined, end }
      locating.then(
        positions => {
          later.located = { positions }
        },
        (error: unknown) => {
          later.located = { error }
        },
      )
      belated.add(later)
      for (const { topic, partition } of partitions) {
        observer.observe({ kind: 'position_unknown', partition: { topic, partition }, error: failure })
      }
      takeOn(partitions.map(({ topic, partition }) => unlocatedAt({ topic, partition, nextOffset: 0n }, failure)))
      for (const partition of partitions) {
        const owner = reception.owned.get(partitionKey(partition))
        if (owner !== undefined) later.waiting.add(owner)
      }
      return
    }
    try {
      takeOn(await locating)
    } catch (error) {
      // The group waits for an answer, whatever becomes of us.
      source.assign([])
      if (!signal.aborted) throw error
    }
  }

  /** Answers an assignment. */
  function takeOn(positions: readonly Position[]): void {
    // Owned before the consumer may deliver: a record of a partition that is not ours is dropped.
    for (const position of positions) reception.add(createOwnedPartition(position))
    source.assign(positions.map(fetchPosition))
    // At once, so that nothing is fetched at a position that is only a guess.
    if (positions.some(({ unlocated }) => unlocated !== undefined)) reception.applyPauses(clock.now())
    stream.member = true
    started(positions)
  }

  /** Moves the partitions of assignments that were answered before it was known where they go on, once it is. @throws what stops the stream */
  async function takeOnBelated(): Promise<void> {
    for (const later of belated) {
      for (const owner of later.waiting) if (reception.owned.get(owner.key) !== owner) later.waiting.delete(owner)
      if (later.waiting.size === 0) later.end.abort()
      if (later.waiting.size > 0 && later.located === undefined) continue
      belated.delete(later)
      if (later.located === undefined || later.waiting.size === 0) continue
      if ('error' in later.located) throw later.located.error
      const mine = new Set([...later.waiting].map(({ key }) => key))
      await moveAll(later.located.positions.filter(position => mine.has(partitionKey(position))))
    }
  }

  /** These partitions go on, but for those whose position is not known: they wait until that is known. */
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
      if (uncommitted) committer.offer({ topic, partition, nextOffset })
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
      // The group has removed this consumer, or does not answer: it is ready again with the next assignment, even an empty one.
      stream.member = false
      committer.forget(gone)
      for (const partition of gone) partition.abandon()
    } else {
      drained = await drain(gone, drainTimeoutMs())
    }
    for (const partition of gone) {
      reception.remove(partition)
      views.forget(partition.key)
    }
    source.unassign(partitions)
    observer.observe({ kind: 'revoked', partitions, lost, drained })
  }

  async function reposition(): Promise<void> {
    await takeOnBelated()
    const now = clock.monotonic()
    const sought = new Set([...belated].flatMap(({ waiting }) => [...waiting]))
    const due: OwnedPartition[] = []
    for (const { owner, repositionFor } of views.all()) {
      const pausedFor = now - (repositionedAt.get(owner.key) ?? Number.NEGATIVE_INFINITY)
      if (repositionFor !== undefined && pausedFor > REPOSITION_PAUSE_MS && !sought.has(owner)) due.push(owner)
    }
    if (due.length === 0) return
    // What is still in flight may advance the progress: let it end before progress is read.
    await drain(due, drainTimeoutMs())
    for (const owner of due) await carryOutMove(owner)
    const places = due.map(({ topic, partition }) => ({ topic, partition }))
    await moveAll((await served(locateAtLast(places, signal))) ?? [])
    // The pause counts from here: what is read now must get its chance to be settled.
    for (const partition of due) repositionedAt.set(partition.key, clock.monotonic())
  }

  async function moveAll(positions: readonly Position[]): Promise<void> {
    const moved: Position[] = []
    for (const position of positions) if (await moveTo(position)) moved.push(position)
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
      requestReposition(views.of(old), 'seek_failed')
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
      else for (const view of views.all()) if (view.owner.halted === undefined) requestReposition(view, 'fetch_failed')
    },
    reposition,
    drain,
  }
}

function fetchPosition({ topic, partition, fetchFrom }: Position): Progress {
  return { topic, partition, nextOffset: fetchFrom }
}
