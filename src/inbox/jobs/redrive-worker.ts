import { type BackoffPolicy, backoffMs } from '../../engine/backoff.ts'
import { dispositionOf, StoreMisconfiguredError, StreamError } from '../../engine/errors.ts'
import type { Clock } from '../../engine/ports.ts'
import type { SourceRecord } from '../../engine/record.ts'
import type { RedriveState } from '../letter-states.ts'
import type { DeadLetterRecords } from '../ports.ts'
import {
  type JobObserver,
  type LoadedItem,
  type PageMarks,
  type Parting,
  REDRIVE_BEAT_MS,
  type RedriveInHand,
  type RedriveItem,
  type RedriveSettlement,
  type RedriveStore,
  RedriveTakenOverError,
  type RedriveTopic,
} from '../redrive-work.ts'
import type { LagAnswer } from '../stream-lag.ts'
import { createPace } from './pace.ts'
import { createRedriveGuard } from './redrive-guard.ts'
import { createTopicPages } from './redrive-to-topic.ts'

export interface RedriveWorkerParts {
  readonly store: RedriveStore
  /** For redrives into the store. */
  readonly settlement: RedriveSettlement
  /** For redrives to the topic. */
  readonly topic: RedriveTopic
  readonly records: Pick<DeadLetterRecords, 'read'>
  /** A letter that ended so many processes fails again without being looked at; 0: none does. */
  readonly crashLoopMaxStarts: number
  /** Lag of the live stream. Where it cannot be known, the redrive does not rest. */
  readonly lag: () => Promise<LagAnswer>
  readonly observer: JobObserver
  readonly clock: Clock
  readonly random: () => number
}

export interface RedriveWorker {
  /**
   * Works on a redrive until it is done, an operator ends it, or another worker has it; comes back at once when there is
   * nothing to do. When the signal aborts, it releases the redrive at the end of the current page, and another worker continues.
   * @throws what neither a retry nor ending the redrive resolves (a missing migration)
   */
  run(id: string, stop: AbortSignal): Promise<void>
}

/** A page is about a second's worth, so that a wish of an operator waits no longer than that. */
const PAGE_MAX_ITEMS = 500
/** One is taken however large it is. */
const PAGE_MAX_BYTES = 16 * 1024 * 1024
const NO_MARKS: PageMarks = new Map()
const NOTHING_SETTLED = { resolved: 0, failed_again: 0, parked: 0 }
const BACKOFF: BackoffPolicy = { initialMs: 200, maxMs: 5_000 }
/** After so many workers that vanished with a page in hand its letters go one by one: the first of them is the suspect. */
const ALONE_FROM = 2
/** While the live stream, or the outcomes of the canary, are waited for. */
const LOOK_AGAIN_MS = 1_000
/** How soon an operator's request takes effect during a wait. */
const SLICE_MS = 500
/** A job that runs for so long releases its redrive and is started again: jobs expire. */
export const MAX_TURN_MS = 3_600_000

export function createRedriveWorker(parts: RedriveWorkerParts): RedriveWorker {
  return {
    async run(id, stop) {
      const takenAtMs = parts.clock.monotonic()
      const redrive = await parts.store.take(id)
      if (redrive === undefined) return
      parts.observer.observe({ kind: 'replay_taken', id, epoch: redrive.epoch })
      await createTurn(parts, redrive, takenAtMs, stop).run()
    },
  }
}

function createTurn(
  parts: RedriveWorkerParts,
  redrive: RedriveInHand,
  takenAtMs: number,
  stop: AbortSignal,
): { run(): Promise<void> } {
  const { store, settlement, records, observer, clock } = parts
  const { id } = redrive
  const pace = createPace(redrive.rate, clock)
  const pageItems = Math.min(PAGE_MAX_ITEMS, Math.max(1, Math.round(redrive.rate ?? PAGE_MAX_ITEMS)))
  /** Aborts when the turn is over, and when another worker has it. */
  const over = new AbortController()
  let state: RedriveState = 'running'
  /** The time just before the last acknowledged beat was sent. */
  let heardAtMs = takenAtMs
  /** Workers before this one that vanished with the page in hand, one after another. */
  let deaths = 0
  let isFirstPage = true
  const maxDeaths = parts.crashLoopMaxStarts === 0 ? Number.POSITIVE_INFINITY : parts.crashLoopMaxStarts
  const stopped = AbortSignal.any([stop, over.signal])
  const guard = createRedriveGuard({ redrive, store, lag: parts.lag, clock })
  const topicPages = createTopicPages({
    ...parts,
    ...{ redrive, pace, report, over: over.signal },
    silentMs: () => clock.monotonic() - heardAtMs,
    async load(items) {
      const loaded = await load(items)
      report(0, 0, items.length - loaded.length)
      return loaded
    },
  })

  async function run(): Promise<void> {
    const beating = beat()
    try {
      observer.observe({ kind: 'replay_parted', id, ...(await workUntilParted()) })
    } catch (error) {
      if (!(error instanceof RedriveTakenOverError)) throw error
      observer.observe({ kind: 'replay_parted', id, to: 'lost', error })
    } finally {
      over.abort()
      await beating
    }
  }

  /** Renews the lease of this worker and reads what operators want, whatever else it waits for. */
  async function beat(): Promise<void> {
    while (!over.signal.aborted) {
      try {
        const askedAtMs = clock.monotonic()
        state = await store.beat(redrive)
        heardAtMs = askedAtMs
      } catch (error) {
        // An outage is waited out by those who need an answer.
        if (error instanceof RedriveTakenOverError) over.abort(error)
      }
      await clock.sleep(REDRIVE_BEAT_MS, over.signal)
    }
  }

  async function workUntilParted(): Promise<Parting> {
    for (let failures = 0; ; ) {
      try {
        const parting = wanted() ?? (await turnPage())
        failures = 0
        if (parting === undefined) continue
        await store.part(redrive, parting)
        return parting
      } catch (error) {
        over.signal.throwIfAborted()
        if (dispositionOf(error) !== 'retry') return await giveUp(error)
        failures += 1
        observer.observe({ kind: 'replay_waiting', id, attempt: failures, error })
        // The release cannot be stored now: the lease expires, and another worker continues.
        if (stop.aborted && failures > 1) return { to: 'queued' }
        await rest(backoffMs(BACKOFF, failures, parts.random()))
      }
    }
  }

  async function giveUp(error: unknown): Promise<Parting> {
    if (error instanceof RedriveTakenOverError) throw error
    if (error instanceof StoreMisconfiguredError) {
      // No letter is to blame for it. Where this cannot be noted either, the next worker may do so.
      if (deaths > 0) await store.spare(redrive).catch(() => {})
      throw error
    }
    const why =
      error instanceof StreamError ? error.message : `unforeseen: ${error instanceof Error ? error.name : typeof error}`
    const parting: Parting = { to: 'failed', error: why }
    await store.part(redrive, parting)
    return parting
  }

  function wanted(): Parting | undefined {
    if (state === 'cancelling') return { to: 'cancelled' }
    if (state === 'pausing') return { to: 'paused' }
    return stop.aborted || clock.monotonic() - takenAtMs > MAX_TURN_MS ? { to: 'queued' } : undefined
  }

  /** Shorter when an operator wants something. */
  async function rest(ms: number): Promise<void> {
    const untilMs = clock.monotonic() + ms
    for (let left = ms; left > 0 && wanted() === undefined; left = untilMs - clock.monotonic()) {
      await clock.sleep(Math.min(left, SLICE_MS), stopped)
      over.signal.throwIfAborted()
    }
  }

  /** @returns what to do next, when it is not the next page */
  async function turnPage(): Promise<Parting | undefined> {
    const answer = await guard.look()
    const { items, marks, ...asked } = await store.page(redrive, guard.limit(pageItems))
    // Where nothing is left, there is nothing to pause.
    if (items.length === 0) return { to: 'done' }
    state = asked.state
    if (marks === undefined) {
      if (answer.kind === 'pause') return answer.parting
      if (answer.kind === 'wait') {
        await rest(LOOK_AGAIN_MS)
        return undefined
      }
      while (wanted() === undefined && pace.dueInMs() > 0) await rest(pace.dueInMs())
      const parting = wanted()
      if (parting !== undefined) return parting
    }
    // What was begun is not left half done: its letters are claimed, and the topic may hold records of it that are not noted yet.
    if (redrive.to === 'store') await settlePage(items, marks !== undefined)
    else if (marks === undefined) await topicPages.begin(cutToSize(items))
    else await topicPages.resume(items, marks)
    return undefined
  }

  /** Its letters are claimed, then settled in one transaction; where that fails, they are claimed when the page comes again. */
  async function settlePage(items: readonly RedriveItem[], begun: boolean): Promise<void> {
    const page = begun ? items : cutToSize(items)
    const loaded = await load(await reached(page))
    const ids = loaded.map(({ item }) => item.id)
    const claimed = begun || ids.length === 0 ? new Set(ids) : await store.claim(redrive, ids, NO_MARKS)
    const mine = loaded.filter(({ item }) => claimed.has(item.id))
    const skipped = page.length - mine.length
    // At once: where the page comes again, they are not in it.
    if (skipped > 0) observer.observe({ kind: 'replay_page_settled', id, ...NOTHING_SETTLED, skipped })
    if (mine.length === 0) return
    await noteDeaths(begun)
    const hand = deaths < ALONE_FROM ? mine : mine.slice(0, 1)
    const condemned = deaths >= maxDeaths ? deaths : undefined
    const closings = await settlement.settle(redrive, hand, stopped, condemned)
    deaths = Math.min(deaths, ALONE_FROM)
    for (const _ of hand) pace.take()
    observer.observe({ kind: 'replay_page_settled', id, ...closings, skipped: 0 })
  }

  /**
   * A letter that ends the process leaves nothing else behind than a page that was begun. Counted behind everything that only waits, so that a
   * worker that is killed in an outage condemns none.
   */
  async function noteDeaths(begun: boolean): Promise<void> {
    if (!begun) deaths = 0
    else if (isFirstPage) deaths = await store.inherit(redrive)
    isFirstPage = false
  }

  /** Members at a place that the stream has still to read are skipped here. */
  async function reached(items: readonly RedriveItem[]): Promise<readonly RedriveItem[]> {
    const ahead = items.filter(item => item.ahead).map(item => item.id)
    if (ahead.length > 0) await store.noteSkipped(redrive, ahead, 'ahead_of_stream')
    return items.filter(item => !item.ahead)
  }

  /** Members whose bytes are gone are skipped here, before they are claimed. */
  async function load(items: readonly RedriveItem[]): Promise<readonly LoadedItem[]> {
    const places = items.flatMap(({ id, place }) => (place === undefined ? [] : [{ id, ...place }]))
    const letters = new Map<string, SourceRecord>()
    for await (const { id, record } of records.read(places)) letters.set(id, record)
    const lost = items.filter(item => !letters.has(item.id))
    for (const why of ['place_unknown', 'bytes_gone'] as const) {
      const ids = lost.filter(item => (item.place === undefined) === (why === 'place_unknown')).map(item => item.id)
      if (ids.length > 0) await store.noteSkipped(redrive, ids, why)
    }
    return items.flatMap(item => {
      const letter = letters.get(item.id)
      return letter === undefined ? [] : [{ item, letter }]
    })
  }

  function report(published: number, failed: number, skipped: number): void {
    if (published + failed + skipped > 0) {
      observer.observe({ kind: 'replay_page_published', id, published, failed, skipped })
    }
  }

  return { run }
}

function cutToSize(items: readonly RedriveItem[]): readonly RedriveItem[] {
  let bytes = 0
  const end = items.findIndex((item, index) => {
    bytes += item.bytes
    return index > 0 && bytes > PAGE_MAX_BYTES
  })
  return end === -1 ? items : items.slice(0, end)
}
