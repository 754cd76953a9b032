import { type ActingOptions, actingOperator } from '../../cli/operator-name.ts'
import { note, print, table } from '../../cli/output.ts'
import { ago, plural } from '../../cli/words.ts'
import { UsageError } from '../../engine/errors.ts'
import { grouped } from '../../engine/grouped.ts'
import { ATTENTION, CAUSE_STATES, type CauseChange, type ListedCause } from '../causes.ts'
import { type DlqOptions, openDeadLetters } from './dlq-parts.ts'

interface CausesOptions extends DlqOptions {
  readonly all?: boolean
}

export async function causes(options: CausesOptions): Promise<void> {
  await using inbox = await openDeadLetters(options)
  await inbox.causes.refresh()
  const listed = (await inbox.causes.list()).filter(({ state }) => options.all || state !== 'resolved')
  if (options.json) {
    for (const cause of listed) print(JSON.stringify(cause))
    return
  }
  const now = Date.now()
  if (listed.length > 0) {
    print(
      table(
        ['id', 'state', 'since', 'waiting', 'reason', 'error', 'pointer', 'version', 'owner', 'note'],
        listed.map(cause => [
          ...[cause.id, stateWords(cause), ago(cause.since, now), grouped(cause.waiting)],
          ...[cause.reason, cause.error, cause.pointer, cause.version ?? ''],
          ...[cause.owner ?? '', firstLine(cause.note ?? '')],
        ]),
      ),
    )
  }
  const asking = listed.filter(({ state, waiting }) => waiting > 0 && ATTENTION.some(name => name === state)).length
  note(listed.length === 0 ? 'no causes' : `${plural(listed.length, 'cause')}, ${grouped(asking)} to look at`)
}

interface CauseOptions extends DlqOptions, ActingOptions {
  readonly known?: boolean
  readonly resolve?: boolean
  readonly snooze?: Pick<CauseChange, 'snoozeSeconds' | 'snoozeMore'>
  readonly owner?: string
  readonly note?: string
}

/** Shows it; with an option that changes it, as it is then. */
export async function cause(id: string, options: CauseOptions): Promise<void> {
  await using inbox = await openDeadLetters(options)
  await inbox.causes.refresh()
  const change = changeOf(options)
  const found =
    Object.keys(change).length === 0
      ? await inbox.causes.get(id)
      : await inbox.causes.change(id, change, actingOperator(inbox.config, options))
  if (found === undefined) {
    throw new UsageError(`there is no cause ${JSON.stringify(id)}: "holdfast dlq causes --all" lists them`)
  }
  print(options.json ? JSON.stringify(found) : causeText(found, Date.now()))
}

function changeOf({ known, resolve, snooze, owner, note }: CauseOptions): CauseChange {
  return {
    ...(known ? { state: 'known' } : {}),
    ...(resolve ? { state: 'resolved' } : {}),
    ...(snooze === undefined ? {} : { state: 'snoozed', ...snooze }),
    ...(owner === undefined ? {} : { owner }),
    ...(note === undefined ? {} : { note }),
  }
}

function causeText(cause: ListedCause, nowMs: number): string {
  const { reason, error, pointer, waiting, count, since, version, owner, note, changed_by, changed_at } = cause
  const lines: [string, string | undefined][] = [
    ['cause', `${reason} ${error}${pointer === '' ? '' : ` at ${pointer}`}`],
    ['state', `${stateWords(cause)}, for ${ago(since, nowMs)}`],
    ['waiting', `${grouped(waiting)} of ${plural(count, 'dead letter')}`],
    ['version', version ?? undefined],
    ['owner', owner ?? undefined],
    ['note', note ?? undefined],
    ['changed', changed_at === null ? undefined : `${ago(changed_at, nowMs)} ago, by ${changed_by}`],
  ]
  return lines.flatMap(([name, words]) => (words === undefined ? [] : [`${name.padEnd(9)}${words}`])).join('\n')
}

function stateWords({ state, snoozed_until, snoozed_above }: ListedCause): string {
  const { label } = CAUSE_STATES[state]
  if (snoozed_until !== null) return `${label} until ${snoozed_until}`
  return snoozed_above === null ? label : `${label} until ${snoozed_above} wait`
}

function firstLine(text: string): string {
  const [line = ''] = text.split('\n')
  return line.length > 40 ? `${line.slice(0, 39)}…` : line
}
