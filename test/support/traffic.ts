import { setTimeout as interval } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import type { GeneratorOptions } from '#src/engine/generator.ts'
import { createGenerator, type GeneratedOrder } from '#src/streams/orders/generator.ts'
import type { Stream } from './stream.ts'

export interface Traffic {
  /** What has been acknowledged so far, in order. */
  readonly sent: readonly GeneratedOrder[]
  /** Resolves once all that was under way is acknowledged. */
  stop(): Promise<void>
}

/** So many orders at a time, until they are stopped: they outlast whatever a test does meanwhile, however long it takes. */
export function startTraffic(
  stream: Pick<Stream, 'produce'>,
  count: number,
  everyMs: number,
  orders: Partial<GeneratorOptions> & { readonly seed: number },
): Traffic {
  const generator = createGenerator({ invalidRatio: 0, updatesRatio: 0, ...orders })
  const sent: GeneratedOrder[] = []
  let going = true
  async function run(): Promise<void> {
    for (; going; await interval(everyMs)) {
      const next = Array.from({ length: count }, () => generator.next())
      await stream.produce(next)
      sent.push(...next)
    }
  }
  const running = run()
  // `stop` rejects with the error; the empty handler prevents an unhandled rejection when the test failed before.
  running.catch(() => {})
  async function stop(): Promise<void> {
    going = false
    await running
  }
  onTestFinished(() => {
    going = false
  })
  return { sent, stop }
}
