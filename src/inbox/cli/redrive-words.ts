import { paintData } from '../../cli/output.ts'
import { grouped } from '../../engine/grouped.ts'
import { visible } from '../../engine/visible.ts'
import { LEFT_OUT, type LeftOutReason, type SkipReason } from '../letter-states.ts'
import type { Redrive, RedrivePreview } from '../redrive-ports.ts'

/** Redrives as text. */

/** @param isEdited its value was checked when it was read */
export function previewLines(preview: RedrivePreview, isEdited = false): string[] {
  const { count, by_reason, oldest, newest, left_out, held_by, check } = preview
  const reasons = Object.entries(by_reason).map(([reason, letters]) => `${grouped(letters)} ${reason}`)
  const lines = [count === 0 ? 'no dead letter' : `${letters(count)}: ${reasons.join(', ')}`]
  if (oldest !== null && newest !== null) lines.push(`failed from ${oldest} to ${newest}`)
  if (check !== null) lines.push(visible(check.message))
  else if (count > 0 && !isEdited)
    lines.push('how many would pass now is not known: Kafka, which has the bytes, does not answer')
  for (const [why, letters] of Object.entries(left_out)) {
    lines.push(`left out: ${grouped(letters)} ${LEFT_OUT[why as LeftOutReason].words}`)
  }
  for (const { message } of held_by) lines.push(`note: ${visible(message)}`)
  return lines
}

/** The results so far. */
export function progressText({ resolved, failed_again, parked, skipped }: Redrive): string {
  const parts = [
    resolved > 0 && `${grouped(resolved)} resolved`,
    failed_again > 0 && `${grouped(failed_again)} failed again`,
    parked > 0 && `${grouped(parked)} parked`,
    skipped > 0 && `${grouped(skipped)} skipped`,
  ]
  return parts.filter(part => part !== false).join(', ')
}

/** In a list: the state, and what is special about it. */
export function stateText({ state, verdict, paused_because, waiting_for }: Redrive): string {
  if (state === 'paused' && paused_because !== null) return 'paused itself'
  if (state === 'running' && waiting_for !== null) return 'running, waits'
  if (state === 'done' && verdict === 'none') return 'done, none resolved'
  return state === 'done' && verdict === 'partly' ? 'done, partly resolved' : state
}

/** Green only when all were resolved. */
export function coloured(text: string, { state, verdict }: Pick<Redrive, 'state' | 'verdict'>): string {
  if (state === 'failed' || verdict === 'none') return paintData('red', text)
  if (state === 'paused' || verdict === 'partly') return paintData('yellow', text)
  return verdict === 'all' ? paintData('green', text) : text
}

/** One line at the end. */
export function endLine(redrive: Redrive, unsettled: number): string {
  const { id, state, total, published, pending, failed_again, parked, error, paused_because } = redrive
  const failed = failed_again + parked
  if (state === 'done' && failed === total) {
    const kept = parked === 0 ? '' : `, ${grouped(parked)} of them for the last time: they are parked`
    return `redrive ${id} done, ${grouped(failed)} of ${grouped(total)} failed again${kept}`
  }
  const became = [progressText(redrive) + skippedText(redrive), releasedText(redrive)]
    .filter(text => text !== '')
    .join(', ')
  const done = redrive.to === 'topic' ? 'published' : 'settled'
  const numbers = `${grouped(published)} of ${grouped(total)} ${done}${became === '' ? '' : `, ${became}`}`
  if (state === 'paused' && paused_because !== null) {
    return `redrive ${id} ${visible(paused_because.message)}; ${numbers}; ${grouped(pending)} are left`
  }
  const head = `redrive ${id} ${state}: ${numbers}`
  if (state === 'failed') return `${head}: ${visible(error ?? 'the reason is not known')}`
  if (state === 'paused') return `${head}; ${grouped(pending)} are left`
  if (unsettled > 0) return `${head}; ${grouped(unsettled)} wait for a consumer to settle them`
  return head
}

/** Dead letters whose turn had not come when the redrive ended: they are open as before. */
function releasedText({ released }: Redrive): string {
  return released > 0 ? `${grouped(released)} released` : ''
}

function skippedText({ skipped_because }: Redrive): string {
  const whys = Object.entries(skipped_because).map(
    ([why, count]) => `${grouped(count)} ${LEFT_OUT[why as SkipReason].words}`,
  )
  return whys.length === 0 ? '' : ` (${whys.join(', ')})`
}

function letters(count: number): string {
  return `${grouped(count)} dead letter${count === 1 ? '' : 's'}`
}
