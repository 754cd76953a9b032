/** Written by scripts/write-states.ts. */

export const STATES = {
  open: 'open',
  replaying: 'redriving',
  resolved: 'resolved',
  failed_again: 'failed again',
  parked: 'parked',
  discarded: 'discarded',
}
export const WAITING = ['open', 'parked']
export const CAUSE_STATES = {
  'new': 'new',
  regressed: 'came back',
  due: 'snooze over',
  known: 'known',
  snoozed: 'snoozed',
  resolved: 'resolved',
}
export const ATTENTION = ['new', 'regressed', 'due']
export const REDRIVE_STATES = {
  queued: 'waits for a worker',
  running: 'running',
  pausing: 'pausing',
  cancelling: 'being cancelled',
  paused: 'paused',
  cancelled: 'cancelled',
  done: 'done',
  failed: 'failed',
}
export const UNDER_WAY = ['queued', 'running', 'pausing', 'cancelling']
export const FINAL = ['cancelled', 'done', 'failed']
export const STEPS = {
  pause: ['queued', 'running'],
  resume: ['pausing', 'paused'],
  cancel: ['queued', 'running', 'pausing', 'paused'],
}
export const LEFT_OUT = {
  not_open: 'not open',
  other_topic: 'from another topic',
  place_unknown: 'at a place that is not known ("holdfast dlq reindex" finds it)',
  not_passing: 'would not pass now',
  bytes_gone: 'whose bytes are no longer in the dead-letter topic',
  over_limit: 'beyond the limit',
  refused_by_topic: 'refused by the topic',
  ahead_of_stream: 'at a place that the stream has not reached',
}
