/** The events that operators get a message about, and the text of each. No payload and no personal data. */

/** A closed set: also the values of the metric label `kind`, and the CHECK of the table. */
export const NOTICE_KINDS = [
  'cause_new',
  'cause_regressed',
  'cause_due',
  'storm_guard',
  'partition_halted',
  'stream_halted',
  'breaker_open',
  'redrive_ended',
  'redrive_paused',
  'test',
] as const
export type NoticeKind = (typeof NOTICE_KINDS)[number]

/** What became of a message. A closed set: also the values of the metric label `result`. */
export const NOTICE_RESULTS = ['sent', 'failed', 'dropped'] as const

/** An event that operators get a message about. */
export interface Notice {
  readonly kind: NoticeKind
  readonly stream: string
  /** What it is about: one message of it an hour, of all processes. */
  readonly subject: string
  /**
   * When it happened: by the clock of the database; or how long ago, in ms, where only this process knows of it. What is noted later
   * than that is the same event.
   */
  readonly since: Date | number
  /** In a sentence without a full stop. */
  readonly title: string
  /** In the order in which they are shown. */
  readonly facts: Readonly<Record<string, string | number>>
  /** Below the address of the console: `/admin?…`. */
  readonly path: string
}

/** A notice that is to be sent now. */
export interface DueNotice extends Omit<Notice, 'since'> {
  /** Id of the message: the same at each attempt. */
  readonly id: string
  /** RFC 3339: when it happened. */
  readonly since: string
  /** Which attempt this is, counting from 1. */
  readonly attempt: number
}

/** The page of the console that a notice leads to. */
export function consolePath(stream: string, place: Readonly<Record<string, string>> = {}): string {
  return `/admin?${new URLSearchParams({ stream, ...place })}`
}

/** Texts of errors and causes have no bound of their own. */
const MAX_TEXT = 300

/** Facts that are known, each short. */
export function factsOf(
  facts: Readonly<Record<string, string | number | null | undefined>>,
): Readonly<Record<string, string | number>> {
  return Object.fromEntries(
    Object.entries(facts).flatMap(([name, value]) => {
      if (value === null || value === undefined || value === '') return []
      return [[name, typeof value === 'string' && value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT - 1)}…` : value]]
    }),
  )
}

/** To see that a message arrives. */
export function testNotice(nowMs: number): DueNotice {
  return {
    ...{ id: `test-${nowMs}`, kind: 'test', stream: '', subject: 'test', attempt: 1, facts: {}, path: '/admin' },
    title: 'Test: messages of Holdfast arrive here',
    since: new Date(nowMs).toISOString(),
  }
}
