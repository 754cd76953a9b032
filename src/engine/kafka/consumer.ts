import { runningLifecycle, StoppedError } from '../lifecycle.ts'
import type { RecordSource, SourceEvent } from '../ports.ts'
import { partitionKey } from '../record.ts'
import { createHearing, type Hearing } from './hearing.ts'
import { type ConsumerOptions, createMember, type Member } from './member.ts'

export type { ConsumerOptions } from './member.ts'

const CONNECT_TIMEOUT_MS = 5_000
/** A client that has reached no broker for this long, despite requests, is replaced once another one connects. */
const RENEW_AFTER_MS = 10_000
/** Between two tries to find out. */
const RENEW_PAUSE_MS = 5_000

/**
 * A group consumer on the low-level client, as the port asks: everything happens inside `poll()`. The KafkaJS-style
 * consumer of the same package is not used, because it loses prefetched records on pause and reports commits as done
 * that the broker never saw.
 *
 * A client that lost all its brokers may never find them again (librdkafka 2.15.1, after a lone broker was frozen beyond
 * its session: https://github.com/confluentinc/librdkafka/issues/5301). So one that hears nothing for some time is replaced as
 * soon as a new one connects; to the loop it looks like any loss of its partitions, followed by an assignment. While the
 * brokers are really away, no new one connects, and the old client goes on looking for them.
 */
export function createConsumer(options: ConsumerOptions): RecordSource {
  const hearings = new WeakMap<Member, Hearing>()
  let member: Member | undefined
  let starting: Promise<void> | undefined
  /** Connected, and waits for the next poll to take the member's place. */
  let successor: Member | undefined
  let renewal: Promise<void> | undefined
  let renewNotBeforeMs = 0
  const departures = new Set<Promise<void>>()
  /** Ends a membership that its client no longer controls. */
  let lostEvent: Extract<SourceEvent, { kind: 'revoked' }> | undefined
  /** Who waits for the answer to the event that was handed out last; its answer must not reach another one. */
  let answersTo: { readonly member: Member | undefined; readonly event: SourceEvent } | undefined

  function create(): Member {
    const hearing = createHearing(() => created.hearsBroker())
    const created = createMember(options, hearing.heard, () => hearing.deafMs() === 0)
    hearings.set(created, hearing)
    return created
  }

  function current(): Member {
    if (member === undefined) throw new Error('the consumer is not started')
    return member
  }

  function depart(gone: Member): void {
    const departure = gone.leave()
    departures.add(departure)
    void departure.then(() => departures.delete(departure))
  }

  function supervise(asked: Member): void {
    const hearing = hearings.get(asked)
    hearing?.tick()
    if (hearing === undefined || hearing.deafMs() < RENEW_AFTER_MS) return
    if (renewal !== undefined || successor !== undefined || performance.now() < renewNotBeforeMs) return
    renewal = renew(asked).finally(() => {
      renewal = undefined
      renewNotBeforeMs = performance.now() + RENEW_PAUSE_MS
    })
  }

  async function renew(deaf: Member): Promise<void> {
    const fresh = create()
    const connects = await fresh.connect(CONNECT_TIMEOUT_MS).then(
      () => true,
      // The brokers are really away.
      () => false,
    )
    // When the brokers have just come back, the old client reaches them too, and need not lose its partitions.
    if (connects && !lifecycle.stopping.aborted && !(await deaf.hearsBroker()) && !lifecycle.stopping.aborted)
      successor = fresh
    else depart(fresh)
  }

  /** In the loop's own time: nothing of what it holds changes but inside a poll. */
  function takeOver(): void {
    if (successor === undefined || lifecycle.stopping.aborted) return
    const old = current()
    const lost = new Map(old.owned)
    // What was handed out and is not answered yet, the loop takes for its own; and of an earlier loss it may not know.
    const handedOut = answersTo?.member === old && answersTo.event.kind === 'assigned' ? answersTo.event.partitions : []
    for (const partition of [...handedOut, ...(lostEvent?.partitions ?? [])])
      lost.set(partitionKey(partition), partition)
    member = successor
    successor = undefined
    lostEvent = { kind: 'revoked', partitions: [...lost.values()], lost: true }
    depart(old)
    options.onWarning('the consumer heard nothing from Kafka for a while, and was replaced by a new one')
    member.join()
  }

  /** Takes the answer to the last event, unless its receiver has gone. */
  function answer(give: (member: Member) => void): void {
    const to = answersTo
    answersTo = undefined
    if (to === undefined || to.member === member) give(current())
  }

  const lifecycle = runningLifecycle(async () => {
    // A start that is under way notices the stop, and its client leaves.
    await starting?.catch(() => {})
    if (member !== undefined) depart(member)
    await renewal
    if (successor !== undefined) depart(successor)
    // Awaited while timers run: the end of the process would wait for a native call that hangs, and nothing could end it.
    while (departures.size > 0) await Promise.all(departures)
  })

  async function join(): Promise<void> {
    if (lifecycle.stopping.aborted) throw new StoppedError('the consumer is closed')
    const joining = create()
    try {
      await joining.connect(CONNECT_TIMEOUT_MS)
      if (lifecycle.stopping.aborted) throw new StoppedError('the consumer was closed while it connected')
    } catch (error) {
      depart(joining)
      throw error
    }
    member = joining
    joining.join()
  }

  return {
    start() {
      starting = join()
      return starting
    },
    poll(max, timeoutMs) {
      takeOver()
      supervise(current())
      return current().poll(max, timeoutMs)
    },
    nextEvent() {
      const ofOld = lostEvent
      lostEvent = undefined
      const event = ofOld ?? member?.nextEvent()
      if (event !== undefined && event.kind !== 'fetch_failed')
        answersTo = { member: ofOld === undefined ? member : undefined, event }
      return event
    },
    assign: positions => answer(to => to.assign(positions)),
    unassign: partitions => answer(to => to.unassign(partitions)),
    pause: partitions => current().pause(partitions),
    resume: partitions => current().resume(partitions),
    seek: to => current().seek(to),
    commit: positions => current().commit(positions),
    committed: partitions => current().committed(partitions),
    watermarks: partition => current().watermarks(partition),
    cachedWatermarks: partition => current().cachedWatermarks(partition),
    close: lifecycle.stop,
  }
}
