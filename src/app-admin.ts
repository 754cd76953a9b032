import type { Desk } from './app-desk.ts'
import type { Config } from './config.ts'
import type { HealthCheck, StreamStatus } from './core/status.ts'
import type { Clock } from './engine/ports.ts'
import type { Verdict } from './engine/verdict.ts'
import type { AdminParts } from './http/admin.ts'
import { createAdminFeed } from './http/admin-feed.ts'
import { createStreamOverview } from './http/stream-overview.ts'
import { maskPersonal } from './orders/order.ts'

export interface AdminOptions {
  readonly config: Config
  readonly desk: Desk
  /** `undefined` while, or because, this process has no stream. */
  readonly status: () => StreamStatus | undefined
  readonly consumes: boolean
  readonly ready: readonly HealthCheck[]
  readonly judge: (record: { readonly key: Buffer | null; readonly value: Buffer | null }) => Verdict<unknown>
  readonly clock: Clock
  /** What nobody foresaw, while operators watch. */
  readonly onFeedError: (error: unknown) => void
}

/** What the API needs for operators, out of the desk and what this process knows of itself. */
export function composeAdmin(options: AdminOptions): AdminParts {
  const { config, desk, clock, judge } = options
  const { overview, storeSilentMs } = createStreamOverview({
    ...options,
    topic: config.kafka.topic,
    groupId: config.kafka.groupId,
    books: desk.books,
    automatic: desk.automatic,
    ends: desk.ends.of,
  })
  return {
    ...desk,
    overview,
    storeSilentMs,
    judge: value => judge({ key: null, value }),
    mask: maskPersonal,
    traceUrl: config.traceUrl,
    feed: createAdminFeed({ clock, overview, replays: desk.replays.list, onError: options.onFeedError }),
  }
}
