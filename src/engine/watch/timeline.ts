import type { Fact, Observer } from '../facts.ts'
import type { TopicPartition } from '../record.ts'
import { lagSeconds, type StreamStatus } from '../status.ts'

/** The shortest step of the time line: what a process counts is written once in so long. */
export const STEP_MS = 10_000

/** What happened to a stream within one step, as one process saw it. */
export interface TimelineStep {
  readonly stream: string
  /** Where the step begins: wall clock in ms, a multiple of {@link STEP_MS}. */
  readonly atMs: number
  readonly settled: number
  readonly deadLettered: number
  /** Lag of the partitions that this process has, when the step ended; `undefined`: not known. */
  readonly lagRecords: number | undefined
  readonly lagSeconds: number | undefined
  /** What stood still at any time in the step, without duplicates: see {@link stopOf}. */
  readonly stops: readonly string[]
}

/** What is known of a stream in a span of time, by steps of a chart. */
export interface TimelineSeries {
  readonly steps: readonly TimelineFigures[]
  readonly stops: readonly TimelineStop[]
}

export interface TimelineFigures {
  /** Counts from 0, the oldest. One of which nothing is known is absent. */
  readonly step: number
  /** Records a second. */
  readonly rate: number
  readonly deadLettered: number
  readonly lagRecords: number | undefined
  readonly lagSeconds: number | undefined
}

/** What stood still, without a break in what was written. */
export interface TimelineStop {
  readonly kind: string
  readonly name: string
  readonly partitions: readonly number[]
  readonly from: Date
  readonly to: Date
}

/** A span of time of which a chart is made. */
export interface TimelineWindow {
  readonly from: Date
  readonly to: Date
  readonly stepSeconds: number
}

export interface TimelineRecorder extends Observer {
  /** Ends the step that began at `atMs`, and begins the next. `undefined`: the process did not consume. */
  take(atMs: number, nowMs: number): TimelineStep | undefined
}

/** What a row holds at most, however many partitions a process has. */
const STOPS_MAX = 500

/** Counts what happens to a stream, and at the end of a step looks at how it stands. */
export function createTimelineRecorder(stream: string, status: () => StreamStatus | undefined): TimelineRecorder {
  let settled = 0
  let deadLettered = 0
  const stood = new Set<string>()

  return {
    observe(fact: Fact) {
      switch (fact.kind) {
        case 'batch_settled':
          settled += fact.records
          deadLettered += fact.counts.dead_lettered
          break
        // One that is over before the step ends is seen by its beginning only.
        case 'paused':
          if (isTrouble(fact.reason)) stood.add(pauseOf(fact.reason, fact.partition))
          break
        case 'breaker_opened':
          stood.add(stopOf('breaker', fact.dependency))
          break
      }
    },

    take(atMs, nowMs) {
      const shown = status()
      const stands = shown === undefined ? [] : [...stopsOf(shown)]
      for (const stop of stands) stood.add(stop)
      const counted = { stream, atMs, settled, deadLettered, stops: [...stood].slice(0, STOPS_MAX) }
      const isIdle = settled === 0 && stood.size === 0
      settled = 0
      deadLettered = 0
      stood.clear()
      // What stands now also stands when the next step begins, whether or not it does at its end.
      for (const stop of stands) stood.add(stop)
      if (shown === undefined && isIdle) return undefined
      return { ...counted, ...lagOf(shown, nowMs) }
    },
  }
}

/** A stop as it is stored: its kind, its name, and the partition, where it is of one. The parts come from closed sets. */
function stopOf(kind: 'pause' | 'breaker' | 'stream', name: string, partition?: number): string {
  return [kind, name, ...(partition === undefined ? [] : [partition])].join('/')
}

function pauseOf(reason: string, { partition }: Pick<TopicPartition, 'partition'>): string {
  return stopOf('pause', reason, partition)
}

/** Backpressure comes and goes many times a second, and is no trouble. */
function isTrouble(reason: string): boolean {
  return reason !== 'backpressure'
}

function* stopsOf({ state, breakers, partitions }: StreamStatus): Iterable<string> {
  if (state === 'halted' || state === 'failed') yield stopOf('stream', state)
  for (const { dependency, open } of breakers) if (open) yield stopOf('breaker', dependency)
  for (const partition of partitions) {
    for (const reason of partition.paused) if (isTrouble(reason)) yield pauseOf(reason, partition)
    if (partition.halted !== undefined) yield pauseOf('halted', partition)
  }
}

function lagOf(status: StreamStatus | undefined, nowMs: number): Pick<TimelineStep, 'lagRecords' | 'lagSeconds'> {
  const partitions = status?.partitions ?? []
  const records = partitions.flatMap(({ lagRecords }) => lagRecords ?? [])
  const seconds = partitions.flatMap(partition => lagSeconds(partition, nowMs) ?? [])
  return {
    lagRecords: records.length === 0 ? undefined : records.reduce((sum, one) => sum + one, 0),
    lagSeconds: seconds.length === 0 ? undefined : Math.max(...seconds),
  }
}
