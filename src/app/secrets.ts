import type { Observer } from '../engine/facts.ts'
import type { Config } from '../settings/config.ts'

/** A login that was exchanged is in use after so long at most, in ms. */
const LOOK_EVERY_MS = 2_000

/**
 * Looks at the files of settings from now on. Most parts ask for a secret when they need it; the clients of Kafka have to be
 * handed a new one, before the broker refuses the one that they have.
 */
export function watchSecrets({
  config,
  observer,
}: {
  readonly config: Config
  readonly observer: Observer
}): Disposable {
  const { files, kafka } = config
  if (files.names.length === 0) return { [Symbol.dispose]() {} }
  let seen = files.look()
  const timer = setInterval(() => {
    const before = seen
    seen = files.look()
    if (seen.problems.length > 0 && seen.problems.join() !== before.problems.join()) {
      observer.observe({ kind: 'secrets_unusable', problems: seen.problems })
    }
    if (seen.version === before.version) return
    kafka.logins?.renew()
    observer.observe({ kind: 'secrets_read', changed: seen.changed, atNextStart: seen.atNextStart })
  }, LOOK_EVERY_MS)
  timer.unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}
