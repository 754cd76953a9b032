/**
 * OTLP into Zipkin, which does not speak it: takes what exporters send as OTLP/HTTP with JSON, and hands it on as Zipkin's
 * v2 spans. Follows OpenTelemetry's rules for that (specs/otel/trace/sdk_exporters/zipkin), and adds links as tags,
 * because Zipkin has none.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** One span of Zipkin's `POST /api/v2/spans`. */
export interface ZipkinSpan {
  readonly traceId: string
  readonly id: string
  readonly parentId?: string
  readonly name: string
  readonly kind?: string
  /** Microseconds since the epoch. */
  readonly timestamp: number
  /** Microseconds, at least 1. */
  readonly duration: number
  readonly localEndpoint: { readonly serviceName: string }
  readonly remoteEndpoint?: { readonly serviceName: string }
  readonly annotations: readonly { readonly timestamp: number; readonly value: string }[]
  readonly tags: Readonly<Record<string, string>>
}

type OtlpValue = Readonly<Record<string, unknown>>

interface OtlpAttribute {
  readonly key: string
  readonly value: OtlpValue
}

interface OtlpSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind?: number
  readonly startTimeUnixNano: string | number
  readonly endTimeUnixNano: string | number
  readonly attributes?: readonly OtlpAttribute[]
  readonly events?: readonly {
    readonly timeUnixNano: string | number
    readonly name: string
    readonly attributes?: readonly OtlpAttribute[]
  }[]
  readonly links?: readonly { readonly traceId: string; readonly spanId: string }[]
  readonly status?: { readonly code?: number; readonly message?: string }
}

/** The body of `POST /v1/traces`, as far as it is read. */
export interface OtlpTraces {
  readonly resourceSpans?: readonly {
    readonly resource?: { readonly attributes?: readonly OtlpAttribute[] }
    readonly scopeSpans?: readonly {
      readonly scope?: { readonly name?: string }
      readonly spans?: readonly OtlpSpan[]
    }[]
  }[]
}

const KINDS: Readonly<Record<number, string>> = { 2: 'SERVER', 3: 'CLIENT', 4: 'PRODUCER', 5: 'CONSUMER' }
const STATUS_OK = 1
const STATUS_ERROR = 2

export function toZipkin({ resourceSpans = [] }: OtlpTraces): ZipkinSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans = [] }) => {
    const { 'service.name': serviceName = 'unknown', ...about } = textsOf(resource?.attributes)
    return scopeSpans.flatMap(({ scope, spans = [] }) => {
      const common = { ...about, ...(scope?.name ? { 'otel.scope.name': scope.name } : {}) }
      return spans.map(span => toZipkinSpan(span, serviceName, common))
    })
  })
}

function toZipkinSpan(span: OtlpSpan, serviceName: string, common: Readonly<Record<string, string>>): ZipkinSpan {
  const attributes = textsOf(span.attributes)
  const kind = KINDS[span.kind ?? 0]
  const started = microsOf(span.startTimeUnixNano)
  // The remote endpoint becomes an edge in Zipkin's graph of dependencies.
  const remote = attributes['messaging.system.name'] ?? attributes['db.system.name']
  return {
    traceId: span.traceId,
    id: span.spanId,
    ...(span.parentSpanId ? { parentId: span.parentSpanId } : {}),
    name: span.name,
    ...(kind === undefined ? {} : { kind }),
    timestamp: started,
    duration: Math.max(1, microsOf(span.endTimeUnixNano) - started),
    localEndpoint: { serviceName },
    ...(remote === undefined ? {} : { remoteEndpoint: { serviceName: remote } }),
    annotations: (span.events ?? []).map(({ timeUnixNano, name, attributes: details = [] }) => ({
      timestamp: microsOf(timeUnixNano),
      value: details.length === 0 ? name : `"${name}": ${JSON.stringify(textsOf(details))}`,
    })),
    tags: {
      ...common,
      ...attributes,
      ...statusOf(span),
      ...Object.fromEntries(
        (span.links ?? []).map(({ traceId, spanId }, i) => [`link.${i + 1}`, `${traceId}/${spanId}`]),
      ),
    },
  }
}

function statusOf({ status }: OtlpSpan): Record<string, string> {
  if (status?.code === STATUS_OK) return { 'otel.status_code': 'OK' }
  // The tag `error` is what Zipkin shows in red.
  if (status?.code === STATUS_ERROR) return { 'otel.status_code': 'ERROR', error: status.message || 'true' }
  return {}
}

/** Nanoseconds, as text where they do not fit a number. */
function microsOf(nanos: string | number): number {
  return Number(BigInt(nanos) / 1000n)
}

function textsOf(attributes: readonly OtlpAttribute[] = []): Record<string, string> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, textOf(value)]))
}

/** A value of OTLP is an object whose only key says its type. */
function textOf(value: OtlpValue): string {
  const [found] = Object.values(value)
  if (typeof found !== 'object' || found === null) return String(found ?? '')
  const { values } = found as { readonly values?: readonly OtlpValue[] }
  return JSON.stringify(Array.isArray(values) ? values.map(textOf) : found)
}

export interface ZipkinBridge extends AsyncDisposable {
  /** For `OTEL_EXPORTER_OTLP_ENDPOINT`, with `OTEL_EXPORTER_OTLP_PROTOCOL=http/json`. */
  readonly url: string
  /** Leads to the page of a trace, with `{trace_id}` in it: for callers that need the link before the viewer's address is known. */
  readonly traceUrl: string
  /** Where spans go from now on. Earlier spans are dropped, because no viewer is running. */
  forwardTo(zipkinUrl: string): void
}

const MAX_BODY_BYTES = 32 * 1024 * 1024
const FORWARD_TIMEOUT_MS = 5_000

/** Listens on a free port of the loopback interface. */
export async function startZipkinBridge(): Promise<ZipkinBridge> {
  let target: string | undefined
  const server = createServer((req, res) => {
    const trace = /^\/trace\/([0-9a-f]{32})$/.exec(req.url ?? '')?.[1]
    if (trace !== undefined) return showTrace(trace, res)
    void answer(req).then(status => res.writeHead(status, { 'Content-Type': 'application/json' }).end('{}'))
  })

  function showTrace(id: string, res: ServerResponse): void {
    if (target !== undefined) res.writeHead(302, { Location: `${target}/zipkin/traces/${id}` }).end()
    else res.writeHead(503, { 'Content-Type': 'text/plain' }).end('The viewer of traces is not there (yet).\n')
  }

  async function answer(req: IncomingMessage): Promise<number> {
    if (req.method !== 'POST' || req.url !== '/v1/traces') return 404
    if (req.headers['content-type']?.startsWith('application/json') !== true) return 415
    try {
      const body = await readAll(req)
      if (body === undefined) return 413
      const spans = toZipkin(JSON.parse(body.toString()) as OtlpTraces)
      if (target === undefined || spans.length === 0) return 200
      const { ok } = await fetch(`${target}/api/v2/spans`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(spans),
        signal: AbortSignal.timeout(FORWARD_TIMEOUT_MS),
      })
      // The exporter tries again then.
      return ok ? 200 : 503
    } catch (error) {
      return error instanceof SyntaxError ? 400 : 503
    }
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  server.unref()
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url,
    traceUrl: `${url}/trace/{trace_id}`,
    forwardTo(zipkinUrl) {
      target = zipkinUrl
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>(resolve => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

async function readAll(req: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of req as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY_BYTES) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
