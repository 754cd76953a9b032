import type { DeadLetter } from '#src/engine/dead-letter.ts'
import { BrokerUnavailableError } from '#src/engine/errors.ts'
import type { Fact } from '#src/engine/facts.ts'
import type { Clock, DeadLetterSink } from '#src/engine/ports.ts'
import type { SourceRecord } from '#src/engine/record.ts'
import { createPipeline, type Pipeline, type PipelineParts } from '#src/engine/run/pipeline.ts'
import type { ReadyRecord, Verdict } from '#src/engine/verdict.ts'
import { createMemoryRequests, type MemoryRequests, moverOf } from './memory-requests.ts'
import { createMemorySource, type MemorySource } from './memory-source.ts'
import { createMemoryStore, type MemoryStore, type MemoryStoreOptions } from './memory-store.ts'

export const GROUP = 'group'
export const P0 = { topic: 'orders', partition: 0 }

export interface Harness {
  readonly source: MemorySource
  readonly store: MemoryStore<string>
  readonly requests: MemoryRequests
  readonly sent: DeadLetter[]
  readonly facts: Fact[]
  readonly pipeline: Pipeline
  /** While true, the dead-letter topic cannot be written. */
  dlqAway: boolean
  /** Every wait that was asked for, in ms; none is waited. */
  readonly waits: number[]
  of<K extends Fact['kind']>(kind: K): Extract<Fact, { kind: K }>[]
}

/**
 * The pipeline over its ports, played by stand-ins: a value is a text whose part before `:` is its uid; `bad` is
 * invalid, `bug` makes the judge throw.
 */
export function aPipeline(
  over: Partial<PipelineParts<string>> & { refuse?: MemoryStoreOptions<string>['refuse'] } = {},
): Harness {
  const { refuse, ...parts } = over
  const source = createMemorySource()
  const store = createMemoryStore<string>(refuse === undefined ? {} : { refuse })
  const requests = createMemoryRequests(moverOf(store, P0, GROUP))
  const sent: DeadLetter[] = []
  const facts: Fact[] = []
  const waits: number[] = []
  const sink: DeadLetterSink = {
    async send(deadLetter) {
      if (harness.dlqAway) throw new BrokerUnavailableError('the dead-letter topic is away')
      return { partition: 0, offset: BigInt(sent.push(deadLetter) - 1) }
    },
    async probe() {
      if (harness.dlqAway) throw new BrokerUnavailableError('the dead-letter topic is away')
    },
  }
  const pipeline = createPipeline<string>({
    topic: 'orders',
    groupId: GROUP,
    source,
    store,
    requests,
    sink,
    judge,
    onSettled: () => {},
    observer: { observe: fact => facts.push(fact) },
    clock: hurriedClock(waits),
    random: () => 0.5,
    lanes: 2,
    batch: { maxRecords: 10, maxBytes: 1_000_000, lingerMs: 0 },
    retry: { initialMs: 100, maxMs: 30_000, maxAttempts: 3 },
    drainTimeoutMs: 8_000,
    ...parts,
  })
  const harness: Harness = {
    source,
    store,
    requests,
    sent,
    facts,
    pipeline,
    waits,
    dlqAway: false,
    of: <K extends Fact['kind']>(kind: K) =>
      facts.filter((fact): fact is Extract<Fact, { kind: K }> => fact.kind === kind),
  }
  return harness
}

export function judge(record: SourceRecord): Verdict<string> {
  const text = record.value?.toString() ?? ''
  if (text === 'bug') throw new TypeError('a bug of ours')
  if (text === 'bad') {
    return {
      ok: false,
      key: null,
      rejection: { reason: 'schema_violation', error: 'type', pointer: '', message: 'is bad', violations: [] },
    }
  }
  const [uid = ''] = text.split(':')
  return { ok: true, key: uid, value: text }
}

/** Real time, but a wait takes a turn of the event loop only, and is written down. */
function hurriedClock(waits: number[]): Clock {
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    async sleep(ms) {
      waits.push(ms)
      await new Promise<void>(resolve => setTimeout(resolve, 1))
    },
  }
}

/** How much real time counts at most between two looks at a fast clock. */
const MOMENT_MS = 20

/**
 * Time that goes by so many times as fast, and does not leap: while the machine holds the process up, only a moment passes. Seconds of a
 * busy machine would otherwise be minutes, after which the pipeline rightly takes itself for frozen, or for stuck.
 */
export function fastClock(times: number): Clock {
  let lookedAtMs = performance.now()
  let nowMs = lookedAtMs * times
  return {
    now: () => Date.now(),
    monotonic() {
      const realMs = performance.now()
      nowMs += Math.min(realMs - lookedAtMs, MOMENT_MS) * times
      lookedAtMs = realMs
      return nowMs
    },
    sleep: ms => new Promise(resolve => setTimeout(resolve, ms / times)),
  }
}

/** Waits for what the pipeline is about to do; the bound only ends a broken test. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 60_000
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`it never came to: ${what}`)
    await new Promise<void>(resolve => setTimeout(resolve, 2))
  }
}

export function valuesOf(rows: ReadonlyMap<string, ReadyRecord<string>>): Record<string, string> {
  return Object.fromEntries([...rows].map(([uid, row]) => [uid, row.value]))
}
