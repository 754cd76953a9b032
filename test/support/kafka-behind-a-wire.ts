import { type EmbeddedKafka, type KafkaOptions, startKafka } from '#tools/demo/servers/kafka.ts'
import { freePorts } from '#tools/demo/servers/machine.ts'
import { startWire, type WireProcess } from './faults/start-wire.ts'

/** A Kafka of its own that can also be reached over a wire. Ends with both. */
export interface KafkaBehindAWire extends AsyncDisposable {
  readonly kafka: EmbeddedKafka
  readonly wire: WireProcess
  /** By way of the wire: `host:port`. */
  readonly wiredBrokers: string
}

/** @param options of the broker; `proxied` secures the listener behind the wire */
export async function startKafkaBehindAWire(
  log: (line: string) => void = () => {},
  options: KafkaOptions = {},
): Promise<KafkaBehindAWire> {
  await using parts = new AsyncDisposableStack()
  const [proxyPort = 0] = await freePorts(1)
  const kafka = parts.use(await startKafka({ ...options, proxyPort, log }))
  if (kafka.proxied === undefined) throw new Error('Kafka has no listener for the wire')
  const wire = parts.use(await startWire({ port: proxyPort, targetPort: kafka.proxied.upstreamPort }))
  const owned = parts.move()
  return { kafka, wire, wiredBrokers: kafka.proxied.brokers, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
