import type { DeadLetter } from './dead-letter.ts'
import type { Header, SourceRecord, TopicPartition } from './record.ts'

/**
 * What modules ask of the tracer (OpenTelemetry, in `telemetry/`). They do their work inside of
 * these calls and learn nothing of spans. {@link NO_TRACING} follows nothing, and costs nothing.
 */
export interface Tracing extends BatchTracing, SendTracing, RedriveTracing, RequestTracing {
  /** Ids of the work that is being done right now: for its log lines, and the exemplars of its metrics. */
  active(): TraceIds | undefined
}

export interface TraceIds {
  /** 32 hexadecimal digits. */
  readonly traceId: string
  /** 16 hexadecimal digits. */
  readonly spanId: string
  /** Whether the trace can be looked up: its spans are exported. */
  readonly sampled: boolean
}

/** What the tracer is given about a batch. */
export interface TracedBatch extends TopicPartition {
  readonly groupId: string
  readonly records: readonly SourceRecord[]
  /** Name of the stream that it belongs to. */
  readonly stream?: string
  /** When it began to fill, in monotonic ms. */
  readonly fillingSinceMs: number
}

export interface BatchTracing {
  /** A batch has been taken, and its processing begins. */
  batch(batch: TracedBatch): BatchTrace
}

/** The way of one batch, from the topic to the commit. */
export interface BatchTrace {
  /** Work on the batch; calls to the store within it belong to it. */
  run<R>(work: () => R): R
  /** Work on one of its records, which may belong to a trace of its own. */
  runFor<R>(record: SourceRecord, work: () => R): R
  /** Its processing is over, once and for all: these became dead letters; or it was given up. */
  end(result: { readonly deadLetters: readonly DeadLetter[] } | { readonly error: unknown }): void
  /** A commit that covers it, and comes after its end: how long it took, and the broker's code when it failed. */
  committed(seconds: number, failure?: { readonly code: number }): void
}

/** What is known of a record before it is sent. */
export interface RecordToTrace {
  readonly topic: string
  readonly headers: readonly Header[]
}

export interface SendTracing {
  /**
   * Sends a record with the trace context in its headers.
   * @param produce sends it with these headers instead
   */
  send<At extends { readonly partition: number; readonly offset: bigint }>(
    record: RecordToTrace,
    produce: (headers: readonly Header[]) => Promise<At>,
  ): Promise<At>
}

export interface RedriveTracing {
  /** Work on a page of a redrive into the store: a trace of its own, linked to those of its records. */
  page<R>(page: TracedPage, work: () => Promise<R>): Promise<R>
}

export interface TracedPage {
  /** Name of the stream. */
  readonly stream: string
  /** That the stream consumes. */
  readonly topic: string
  /** With the headers that they first had. */
  readonly records: readonly SourceRecord[]
}

/** What the tracer is given about a request, with a copy of its headers. */
export interface TracedRequest {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly headers: Record<string, string | string[] | undefined>
}

export interface RequestTracing {
  /**
   * Answers a request. Where it is followed, its `traceparent` is that of our own span from here on, so that a caller that needs
   * the id of its trace finds it there.
   */
  serve(request: TracedRequest, answer: () => void): void
  /** A listener that is called as a part of the work which is being done now. */
  bind<Args extends unknown[]>(listener: (...args: Args) => void): (...args: Args) => void
  /** The request whose work this is has been answered. */
  served(answer: { readonly method: string; readonly route: string; readonly status: number }): void
}

export const NO_BATCH_TRACE: BatchTrace = {
  run: work => work(),
  runFor: (_record, work) => work(),
  end() {},
  committed() {},
}

export const NO_TRACING: Tracing = {
  active: () => undefined,
  batch: () => NO_BATCH_TRACE,
  send: ({ headers }, produce) => produce(headers),
  page: (_page, work) => work(),
  serve: (_request, answer) => answer(),
  bind: listener => listener,
  served() {},
}
