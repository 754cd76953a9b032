import { instantOf, parseFilterTime } from './filter-time.ts'

/** Which entries of the audit log. What is absent does not restrict. */
export interface AuditFilter {
  /** Any of these names, as they were noted. */
  readonly who?: readonly string[]
  /** Any of these actions, as they are stored. */
  readonly what?: readonly string[]
  /** RFC 3339. From this instant on, and before that one. */
  readonly since?: string
  readonly until?: string
}

export interface AuditQuery extends AuditFilter {
  readonly limit: number
  /** Only entries before this one, by its `id`: where the page before ended. */
  readonly before?: string | undefined
}

/** The filter as a command line, an address or a form gives it. */
export interface AuditTexts {
  readonly who?: string | undefined
  readonly what?: string | undefined
  readonly since?: string | undefined
  readonly until?: string | undefined
}

export type AuditFilterRead =
  | { readonly ok: true; readonly filter: AuditFilter }
  /** `what` is the member that is wrong; its name and `message` make a sentence without its full stop. */
  | { readonly ok: false; readonly what: keyof AuditTexts; readonly message: string }

const MAX_CHARACTERS = 255

/** @param nowMs from which a time that is given as a duration is counted back */
export function readAuditFilter({ who, what, since, until }: AuditTexts, nowMs: number): AuditFilterRead {
  const names = listOf(who)
  const actions = listOf(what)?.flatMap(storedNames)
  if (names?.some(name => name === '' || name.length > MAX_CHARACTERS)) {
    return { ok: false, what: 'who', message: 'must be a name, or several separated by commas' }
  }
  if (actions?.some(action => !/^[a-z_]{1,64}$/.test(action))) {
    return {
      ok: false,
      what: 'what',
      message: 'must be an action as the audit log shows it, as in discard or seek, or several',
    }
  }
  const from = since === undefined ? undefined : momentOf(since, nowMs)
  if (since !== undefined && from === undefined) return { ok: false, what: 'since', message: NO_MOMENT }
  const to = until === undefined ? undefined : momentOf(until, nowMs)
  if (until !== undefined && to === undefined) return { ok: false, what: 'until', message: NO_MOMENT }
  return {
    ok: true,
    filter: {
      ...(names === undefined ? {} : { who: names }),
      ...(actions === undefined ? {} : { what: actions }),
      ...(from === undefined ? {} : { since: from }),
      ...(to === undefined ? {} : { until: to }),
    },
  }
}

const NO_MOMENT =
  'must be a time as in 2026-11-29T08:00:00Z, a day in UTC as in 2026-11-29, how long ago as in 30m, 24h or 7d, today or yesterday'

function listOf(text: string | undefined): string[] | undefined {
  return text?.split(',').map(part => part.trim())
}

/** Actions are stored under names that are older than the word *redrive*; people may use either. */
function storedNames(action: string): string[] {
  const name = action.toLowerCase().replaceAll(' ', '_')
  return /^redrive/.test(name) ? [name, name.replace('redrive', 'replay')] : [name]
}

/** @returns RFC 3339 in UTC; `undefined` when it is no time */
function momentOf(text: string, nowMs: number): string | undefined {
  const time = parseFilterTime(text)
  return time && instantOf(time, nowMs)
}
