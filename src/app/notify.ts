import type { Clock } from '../engine/ports.ts'
import { startNotifier } from '../notify/notifier.ts'
import { observedNotices } from '../notify/postgres/observed.ts'
import { createOutbox } from '../notify/postgres/outbox.ts'
import { createSend } from '../notify/send.ts'
import { noticesOf } from '../notify/watch.ts'
import type { Config } from '../settings/config.ts'
import type { ProcessObserver } from '../telemetry/observer.ts'
import type { Pools } from './pools.ts'
import type { StreamUnit } from './stream.ts'

export interface NotifyParts {
  readonly config: Pick<Config, 'notify'>
  readonly units: readonly StreamUnit[]
  readonly pools: Pools
  /** Whether this process looks for what the database knows: one role does. */
  readonly looks: boolean
  /** Where this process serves the console; `undefined`: it does not. */
  readonly ownUrl: () => string | undefined
  readonly observer: ProcessObserver
  readonly clock: Clock
}

/** Tells operators of what happens, from now on. @returns `undefined` where NOTIFY_WEBHOOK_URL is not set */
export function composeNotify(parts: NotifyParts): AsyncDisposable | undefined {
  const { config, units, pools, looks, ownUrl, observer, clock } = parts
  const { url, currentUrl, format, consoleUrl } = config.notify
  if (url === undefined) return undefined
  // On a connection of its own: neither a stream nor a job waits for it.
  const pool = pools.open('jobs', 1)
  const names = units.map(({ stream }) => stream.name)
  return startNotifier({
    own: () => units.flatMap(({ stream, engine }) => noticesOf(stream.name, engine?.status(), clock.now())),
    ...(looks
      ? { observed: async () => (await Promise.all(names.map(name => observedNotices(pool, name)))).flat() }
      : {}),
    outbox: createOutbox(pool),
    send: createSend({ url: () => currentUrl() ?? url, format, consoleUrl: () => consoleUrl ?? ownUrl() }),
    observer,
    clock,
    random: Math.random,
  })
}
