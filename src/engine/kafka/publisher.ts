import { BrokerUnavailableError } from '../errors.ts'
import { runningLifecycle } from '../lifecycle.ts'
import { type KafkaProducer, type OutgoingRecord, type ProducerOptions, startProducer } from './producer.ts'

export interface Publisher extends AsyncDisposable {
  /** As {@link KafkaProducer.produce}; the first one connects. @throws BrokerUnavailableError, BrokerFatalError */
  publish(record: OutgoingRecord): ReturnType<KafkaProducer['produce']>
  /** Waits for what is under way, then disconnects. Safe twice. */
  close(): Promise<void>
}

/**
 * A producer for those who rarely need one: it connects when first asked, and again after a connection that failed. Callers
 * wait for it, so its timeouts should be short.
 */
export function createPublisher(options: ProducerOptions): Publisher {
  let producer: Promise<KafkaProducer> | undefined
  const lifecycle = runningLifecycle(async () => {
    const started = await producer?.catch(() => undefined)
    await started?.close()
  })

  function connected(): Promise<KafkaProducer> {
    if (lifecycle.stopping.aborted) throw new BrokerUnavailableError('the producer is closed')
    if (producer !== undefined) return producer
    const starting = startProducer(options)
    producer = starting
    // Waiting callers get the error; the next one connects again.
    starting.catch(() => {
      if (producer === starting) producer = undefined
    })
    return starting
  }

  return {
    publish: async record => (await connected()).produce(record),
    close: lifecycle.stop,
    [Symbol.asyncDispose]: lifecycle.stop,
  }
}
