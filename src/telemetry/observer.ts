import type { Observer } from '../engine/facts.ts'
import { NO_TRACING, type Tracing } from '../engine/tracing.ts'
import type { JobObserver } from '../inbox/redrive-work.ts'
import type { NotifyObserver } from '../notify/notifier.ts'
import type { ReadObserver } from '../read/read-side.ts'
import { createEngineObserver } from './engine-facts.ts'
import { createFactLog, REPEAT_INTERVAL_MS } from './fact-log.ts'
import { type AnyFact, isJobFact, isNotifyFact, isReadFact } from './fact-modules.ts'
import { createJobObserver } from './job-facts.ts'
import type { Logger } from './logger.ts'
import type { Metrics } from './metrics.ts'
import { createNotifyObserver } from './notify-facts.ts'
import { createReadObserver } from './read-facts.ts'
import { createThrottle } from './throttle.ts'

export interface ObserverOptions {
  readonly logger: Logger
  readonly metrics: Metrics
  /** Default: requests are not traced. */
  readonly tracing?: Pick<Tracing, 'active' | 'served'>
  /** Wall clock in ms. */
  readonly now?: () => number
  /** Calls back after so many ms. */
  readonly later?: (ms: number, call: () => void) => void
}

/** Takes the facts of one stream: its name goes into their lines and metrics. */
export type StreamObserver = Observer & ReadObserver & JobObserver & NotifyObserver

/** Takes the facts of the process itself, and has an observer for each stream. */
export interface ProcessObserver extends StreamObserver, Disposable {
  of(stream: string): StreamObserver
}

/**
 * Turns each fact into its log line, its metrics and its span; no other part writes about a stream. Errors go to the
 * logger as they are: its serializer decides what of them may be logged.
 */
export function createObserver(options: ObserverOptions): ProcessObserver {
  const { logger, metrics, tracing = NO_TRACING, now = Date.now } = options
  const throttle = createThrottle(REPEAT_INTERVAL_MS, options.later)

  /** @param name of the stream that the facts are about; `undefined`: the process */
  function observerOf(name: string | undefined): StreamObserver {
    const tools = { stream: name ?? '', metrics, log: createFactLog({ logger, throttle, tracing }, name), tracing, now }
    const engine = createEngineObserver(tools)
    const read = createReadObserver(tools)
    const jobs = createJobObserver(tools)
    const notify = createNotifyObserver(tools)
    return {
      observe(fact: AnyFact) {
        if (isReadFact(fact)) read.observe(fact)
        else if (isJobFact(fact)) jobs.observe(fact)
        else if (isNotifyFact(fact)) notify.observe(fact)
        else engine.observe(fact)
      },
    }
  }

  const streams = new Map<string, StreamObserver>()
  return {
    observe: observerOf(undefined).observe,
    of(stream) {
      const known = streams.get(stream) ?? observerOf(stream)
      streams.set(stream, known)
      return known
    },
    [Symbol.dispose]: () => throttle.flush(),
  }
}
