import type { Clock } from '../engine/ports.ts'
import type { HealthCheck, StreamStatus } from '../engine/status.ts'
import type { Stream } from '../engine/stream.ts'
import type { AdminParts } from '../inbox/http/admin.ts'
import { createAdminFeed } from '../inbox/http/admin-feed.ts'
import { createStreamOverview } from '../inbox/http/stream-overview.ts'
import { createTimeline } from '../inbox/http/timeline.ts'
import type { Config } from '../settings/config.ts'
import type { Inbox } from './inbox.ts'

export interface AdminOptions {
  readonly config: Pick<Config, 'traceUrl' | 'grafanaUrl'>
  readonly stream: Stream
  readonly inbox: Inbox
  /** `undefined` until this process consumes the stream. */
  readonly status: () => StreamStatus | undefined
  /** Whether it is going to. */
  readonly consumes: boolean
  readonly ready: readonly HealthCheck[]
  readonly clock: Clock
  /** Unexpected errors of the feed that operators watch. */
  readonly onFeedError: (error: unknown) => void
}

/** What the API for operators needs of one stream: its inbox, and the state of this process. */
export function composeAdmin(options: AdminOptions): AdminParts {
  const { config, stream, inbox, clock, ready } = options
  const { overview, storeSilentMs } = createStreamOverview({
    ...options,
    topic: stream.topic,
    groupId: stream.groupId,
    // Checks of the process concern every stream.
    ready: ready.filter(check => check.stream === undefined || check.stream === stream.name),
    stored: inbox.stored,
    automatic: inbox.automatic,
    ends: inbox.ends.of,
    grafanaUrl: dashboardOf(config.grafanaUrl, stream.name),
  })
  return {
    ...inbox,
    overview,
    storeSilentMs,
    timeline: createTimeline(inbox.past, clock),
    stream,
    traceUrl: config.traceUrl,
    feed: createAdminFeed({ clock, overview, redrives: inbox.redrives.list, onError: options.onFeedError }),
  }
}

/** The board of `grafana/dashboards/stream.json`, of this stream. */
function dashboardOf(grafanaUrl: string | undefined, stream: string): string | undefined {
  if (grafanaUrl === undefined) return undefined
  return `${grafanaUrl}/d/holdfast-stream?${new URLSearchParams({ 'var-stream': stream })}`
}
