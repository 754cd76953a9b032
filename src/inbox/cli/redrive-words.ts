import { grouped } from '../../cli/progress.ts'
import { visible } from '../../engine/visible.ts'
import { LEFT_OUT, type LeftOutReason, type SkipReason } from '../letter-states.ts'
import type { Redrive, RedrivePreview } from '../ports.ts'

/** Redrives as text. */

export function previewLines({ count, by_reason, oldest, newest, left_out }: RedrivePreview): string[] {
  const reasons = Object.entries(by_reason).map(([reason, letters]) => `${grouped(letters)} ${reason}`)
  const lines = [count === 0 ? 'no dead letter' : `${letters(count)}: ${reasons.join(', ')}`]
  if (oldest !== null && newest !== null) lines.push(`failed from ${oldest} to ${newest}`)
  for (const [why, letters] of Object.entries(left_out)) {
    lines.push(`left out: ${grouped(letters)} ${LEFT_OUT[why as LeftOutReason].words}`)
  }
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

/** One line at the end. */
export function endLine(redrive: Redrive, unsettled: number): string {
  const { id, state, total, published, pending, error } = redrive
  const became = [progressText(redrive) + skippedText(redrive), releasedText(redrive)]
    .filter(text => text !== '')
    .join(', ')
  const head = `redrive ${id} ${state}: ${grouped(published)} of ${grouped(total)} published${became === '' ? '' : `, ${became}`}`
  if (state === 'failed') return `${head}: ${visible(error ?? 'the reason is not known')}`
  if (state === 'paused') return `${head}; ${grouped(pending)} are left`
  if (unsettled > 0) return `${head}; ${grouped(unsettled)} wait for a consumer to settle them`
  return head
}

/** Dead letters whose turn had not come when the redrive ended: they are open as before. */
function releasedText({ state, total, published, skipped, pending }: Redrive): string {
  const released = state === 'cancelled' || state === 'failed' ? total - published - skipped - pending : 0
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
