import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import { eventually } from './service.ts'

/** A span as it arrived, with its attributes as plain values. */
export interface ReceivedSpan {
  readonly name: string
  /** INTERNAL, SERVER, CLIENT, PRODUCER or CONSUMER. */
  readonly kind: string
  readonly traceId: string
  readonly spanId: string
  /** `''` for a root. */
  readonly parentSpanId: string
  readonly startMs: number
  readonly endMs: number
  readonly attributes: Readonly<Record<string, unknown>>
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[]
  readonly failed: boolean
  readonly scope: string
  readonly schemaUrl: string
  readonly resource: Readonly<Record<string, unknown>>
}

/** A collector of traces that remembers all that it was sent. Ends with the test. */
export interface OtlpReceiver {
  readonly url: string
  /** Settings of a process that sends its traces here, soon after they end. */
  readonly env: Readonly<Record<string, string>>
  readonly spans: readonly ReceivedSpan[]
  /** Bodies as they came. */
  readonly bodies: readonly Buffer[]
  readonly contentTypes: ReadonlySet<string>
  /** Waits until there are spans that match. @returns them */
  until(what: string, matches: (span: ReceivedSpan) => boolean, count?: number): Promise<ReceivedSpan[]>
}

const KINDS = ['UNSPECIFIED', 'INTERNAL', 'SERVER', 'CLIENT', 'PRODUCER', 'CONSUMER']

export interface ReceiverOptions {
  /** Default: `json`, which is also read into `spans`. */
  readonly protocol?: 'json' | 'protobuf'
  /** Answers nothing, until it is closed. */
  readonly silent?: boolean
}

export async function startOtlpReceiver({
  protocol = 'json',
  silent = false,
}: ReceiverOptions = {}): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = []
  const bodies: Buffer[] = []
  const contentTypes = new Set<string>()
  const server = createServer(async (req, res) => {
    const body = await Array.fromAsync(req as AsyncIterable<Buffer>).then(Buffer.concat, () => undefined)
    // The sender gave up half-way, or was killed.
    if (body === undefined) return
    bodies.push(body)
    contentTypes.add(`${req.url} ${req.headers['content-type']}`)
    if (req.headers['content-type'] === 'application/json') spans.push(...spansOf(JSON.parse(body.toString())))
    if (!silent) res.writeHead(200, { 'Content-Type': req.headers['content-type'] }).end('{}')
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url,
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: url,
      OTEL_EXPORTER_OTLP_PROTOCOL: `http/${protocol}`,
      OTEL_BSP_SCHEDULE_DELAY: '50',
    },
    spans,
    bodies,
    contentTypes,
    async until(what, matches, count = 1) {
      return await eventually(() => {
        const found = spans.filter(matches)
        return found.length >= count && found
      }, what)
    },
  }
}

// ---- OTLP/JSON, as far as it is needed: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding

interface KeyValue {
  readonly key: string
  readonly value: Readonly<Record<string, unknown>>
}
interface Scoped {
  readonly scope: { readonly name: string }
  readonly schemaUrl?: string
  readonly spans: readonly {
    readonly name: string
    readonly kind: number
    readonly traceId: string
    readonly spanId: string
    readonly parentSpanId?: string
    readonly startTimeUnixNano: string
    readonly endTimeUnixNano: string
    readonly attributes?: readonly KeyValue[]
    readonly links?: readonly { readonly traceId: string; readonly spanId: string }[]
    readonly status?: { readonly code?: number }
  }[]
}

function spansOf(body: {
  readonly resourceSpans?: readonly {
    readonly resource: { readonly attributes: readonly KeyValue[] }
    readonly scopeSpans: readonly Scoped[]
  }[]
}): ReceivedSpan[] {
  return (body.resourceSpans ?? []).flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ scope, schemaUrl = '', spans }) =>
      spans.map(span => ({
        name: span.name,
        kind: KINDS[span.kind] ?? String(span.kind),
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId ?? '',
        startMs: Number(BigInt(span.startTimeUnixNano) / 1_000n) / 1_000,
        endMs: Number(BigInt(span.endTimeUnixNano) / 1_000n) / 1_000,
        attributes: plain(span.attributes ?? []),
        links: (span.links ?? []).map(({ traceId, spanId }) => ({ traceId, spanId })),
        failed: span.status?.code === 2,
        scope: scope.name,
        schemaUrl,
        resource: plain(resource.attributes),
      })),
    ),
  )
}

function plain(attributes: readonly KeyValue[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))
}
