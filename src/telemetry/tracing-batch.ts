import {
  type Attributes,
  type Context,
  context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import type { SourceRecord } from '../engine/record.ts'
import type { BatchTrace, TracedBatch, TracedPage } from '../engine/tracing.ts'
import { ATTRIBUTE, DEAD_LETTERED, KAFKA, OPERATION, STREAM } from './semconv.ts'
import { fail, failed } from './span-error.ts'
import { contextOf, isSampled, linkTo } from './tracing-headers.ts'

/** As many links as a span holds, unless OTEL_SPAN_LINK_COUNT_LIMIT says otherwise. */
const MAX_LINKS = 128

/**
 * The spans of one batch: `poll` while it filled, `process` while it is worked on (the statements of the store belong to
 * it), `commit` once the broker has confirmed it. They are linked to the producers' spans.
 *
 * - A batch of one record continues that record's trace: all of its way is one trace.
 * - A batch of several is a trace of its own, because it belongs to none of theirs more than to another. Each record whose
 *   producer's trace is sampled has a `process` span of its own in that trace, linked to the batch's. So what it costs is
 *   decided by the producers' sampling: nothing for records without a `traceparent`, however many a second.
 */
export function startBatchTrace(tracer: Tracer, batch: TracedBatch): BatchTrace {
  const { topic, partition, groupId, records } = batch
  const carried = contextsOf(records)
  const alone = records.length === 1
  const [first] = records
  const origin = (alone && first !== undefined ? carried.get(first) : undefined) ?? ROOT_CONTEXT
  const links = [...carried.values()].slice(0, MAX_LINKS).flatMap(linkTo)
  const where: Attributes = {
    [ATTRIBUTE.system]: KAFKA,
    [ATTRIBUTE.destination]: topic,
    [ATTRIBUTE.partition]: String(partition),
    [ATTRIBUTE.group]: groupId,
    ...(batch.stream === undefined ? {} : { [STREAM]: batch.stream }),
  }

  const polling = tracer.startSpan(
    `poll ${topic}`,
    {
      kind: SpanKind.CLIENT,
      startTime: batch.fillingSinceMs,
      links,
      attributes: { ...where, ...OPERATION.poll, [ATTRIBUTE.batchCount]: records.length },
    },
    origin,
  )
  polling.end(performance.now())

  const attributes: Attributes = { ...where, ...OPERATION.process }
  if (alone && first !== undefined) Object.assign(attributes, attributesOf(first))
  else attributes[ATTRIBUTE.batchCount] = records.length
  const polled = trace.setSpan(origin, polling)
  const processing = tracer.startSpan(`process ${topic}`, { kind: SpanKind.CONSUMER, links, attributes }, polled)
  const here = trace.setSpan(polled, processing)
  const own = alone ? new Map<SourceRecord, Span>() : startOwnSpans()
  let ended = false

  function startOwnSpans(): Map<SourceRecord, Span> {
    const spans = new Map<SourceRecord, Span>()
    for (const [record, there] of carried) {
      if (!isSampled(trace.getSpanContext(there))) continue
      const options = {
        kind: SpanKind.CONSUMER,
        links: [...linkTo(there), ...linkTo(here)],
        attributes: { ...where, ...OPERATION.process, ...attributesOf(record) },
      }
      spans.set(record, tracer.startSpan(`process ${topic}`, options, there))
    }
    return spans
  }

  /** Where what happens to this record belongs: its own trace, also when that one is not sampled. */
  function contextFor(record: SourceRecord): Context {
    const there = alone ? undefined : carried.get(record)
    if (there === undefined) return here
    const span = own.get(record)
    return span === undefined ? there : trace.setSpan(there, span)
  }

  return {
    run: work => context.with(here, work),
    runFor: (record, work) => context.with(contextFor(record), work),

    end(result) {
      if (ended) return
      ended = true
      if ('error' in result) {
        for (const span of [processing, ...own.values()]) failed(span, result.error)
      } else {
        for (const { record, rejection } of result.deadLetters) {
          const span = alone ? processing : own.get(record)
          if (span !== undefined) fail(span, rejection.reason)
        }
        if (!alone && result.deadLetters.length > 0) processing.setAttribute(DEAD_LETTERED, result.deadLetters.length)
      }
      for (const span of own.values()) span.end()
      processing.end()
    },

    committed(seconds, failure) {
      const options = {
        kind: SpanKind.CLIENT,
        startTime: performance.now() - seconds * 1000,
        attributes: { ...where, ...OPERATION.commit },
      }
      const span = tracer.startSpan(`commit ${topic}`, options, here)
      if (failure !== undefined) fail(span, String(failure.code))
      span.end(performance.now())
    },
  }
}

/** The span of a page of a redrive into the store; the statements of its transactions belong to it. */
export async function tracePage<R>(tracer: Tracer, page: TracedPage, work: () => Promise<R>): Promise<R> {
  const { stream, topic, records } = page
  const links = [...contextsOf(records).values()].slice(0, MAX_LINKS).flatMap(linkTo)
  const attributes: Attributes = {
    ...{ [ATTRIBUTE.system]: KAFKA, [ATTRIBUTE.destination]: topic, [STREAM]: stream },
    ...{ ...OPERATION.process, [ATTRIBUTE.batchCount]: records.length },
  }
  const span = tracer.startSpan(`redrive ${topic}`, { kind: SpanKind.CONSUMER, links, attributes }, ROOT_CONTEXT)
  try {
    return await context.with(trace.setSpan(ROOT_CONTEXT, span), work)
  } catch (error) {
    failed(span, error)
    throw error
  } finally {
    span.end()
  }
}

function contextsOf(records: readonly SourceRecord[]): Map<SourceRecord, Context> {
  const contexts = new Map<SourceRecord, Context>()
  for (const record of records) {
    const there = contextOf(record.headers)
    if (there !== undefined) contexts.set(record, there)
  }
  return contexts
}

/** Attributes of a single record; never its key. */
function attributesOf({ offset, value }: SourceRecord): Attributes {
  return { [ATTRIBUTE.offset]: Number(offset), ...(value === null ? { [ATTRIBUTE.tombstone]: true } : {}) }
}
