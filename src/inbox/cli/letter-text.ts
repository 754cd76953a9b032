import { styleText } from 'node:util'
import { hexDump } from '../../../web/console/hex.js'
import { jsonLines, placeOf } from '../../../web/console/json-lines.js'
import { ago, plural } from '../../cli/words.ts'
import type { Violation } from '../../engine/dead-letter.ts'
import { grouped } from '../../engine/grouped.ts'
import { visible } from '../../engine/visible.ts'
import type { DeadLetterDetail, LetterTrace, ShownBytes, ShownRecord } from '../http/letter-answer.ts'
import type { DeadLetterEvent } from '../ports.ts'

/** A dead letter as text: why, where, the value with its violations beside their places, headers, and its history. */

/** A longer text is cut; `--raw` shows it whole. */
const LONGEST_LINE = 400
/** Lines of a value around a violation, in one that has more than fit on any screen. */
const AROUND = 3
const UNFOLDED = 200
const HEX_BYTES = 1_024
const BESIDE_STOP = 40

type Paint = (format: Parameters<typeof styleText>[0], text: string) => string

export interface LetterView {
  readonly letter: DeadLetterDetail
  /** `undefined`: its bytes are no longer in a topic. */
  readonly record: ShownRecord | undefined
  readonly history: readonly DeadLetterEvent[]
  readonly trace?: LetterTrace | undefined
  readonly nowMs: number
  readonly paint?: Paint
}

/** Colours for stdout: none without a terminal or with NO_COLOR. */
const paintStdout: Paint = (format, text) => styleText(format, text, { stream: process.stdout })

export function letterText({ letter, record, history, trace, nowMs, paint = paintStdout }: LetterView): string {
  const title = (text: string) => `\n${paint('bold', text)}`
  const when = (instant: string) => `${instant} (${ago(instant, nowMs)} ago)`
  const facts: [string, string][] = [
    ['why', visible(`${letter.reason}, ${letter.error}: ${letter.message}`)],
    ['key', visible(letter.key ?? 'not readable')],
    ['source', `${visible(letter.source_topic)}, partition ${letter.source_partition}, offset ${letter.source_offset}`],
    ['produced', when(letter.source_timestamp)],
    ['failed', `${when(letter.failed_at)}, ${plural(letter.attempts, 'attempt')}`],
    ['redriven', letter.replay_count === 0 ? 'never' : plural(letter.replay_count, 'time')],
    ['stored', placeText(letter)],
    ['bytes', grouped(letter.bytes)],
    ...(trace === undefined ? [] : [traceFact(trace)]),
  ]
  const lines = [
    `${paint('bold', visible(letter.id))}  ${letter.state}`,
    ...facts.map(([name, text]) => `  ${name.padEnd(9)} ${text}`),
    ...(letter.violations.length === 0 ? [] : [title('Violations'), ...letter.violations.map(violationLine)]),
    title(`Value${record?.value ? ` (${plural(record.value.bytes, 'byte')})` : ''}`),
    ...valueLines(record, letter.violations, paint),
    ...(record === undefined ? [] : [title('Key of the record'), `  ${bytesText(record.key)}`, title('Headers')]),
    ...(record?.headers ?? []).map(header => `  ${visible(header.name)}: ${headerText(header)}`),
    title('History'),
    ...history.map(eventLine),
  ]
  return lines.join('\n')
}

function traceFact({ id, sampled, url }: LetterTrace): [string, string] {
  return ['trace', url === null ? (sampled ? id : `${id} (not sampled)`) : visible(url)]
}

function placeText({ dlq_partition, dlq_offset, written_by }: DeadLetterDetail): string {
  if (dlq_partition === null) return 'at an unknown place in the dead-letter topic; holdfast dlq reindex finds it'
  const by =
    written_by === 'holdfast' ? '' : `, written by ${written_by === 'unknown' ? 'another program' : written_by}`
  return `in the dead-letter topic, partition ${dlq_partition}, offset ${dlq_offset}${by}`
}

function violationLine({ pointer, keyword, message }: Violation): string {
  return `  ${visible(pointer) || '(the whole)'}  ${visible(`${keyword}: ${message}`)}`
}

function valueLines(record: ShownRecord | undefined, violations: readonly Violation[], paint: Paint): string[] {
  if (record === undefined) return ['  gone: no topic holds it (any more)']
  const { value } = record
  if (value === null) return ['  none: a tombstone']
  if (value.bytes === 0) return ['  empty']
  if (value.hex !== undefined) return hexLines(Buffer.from(value.hex, 'hex'))
  if (value.text === undefined) return ['  hidden, because it is not JSON: what of it is personal cannot be known']
  const json = jsonLines(value.text)
  if (json.stop === undefined) return jsonText(json, violations, paint)
  const lines = value.text.split('\n').slice(0, UNFOLDED)
  return [...lines.map(line => `  ${cut(visible(line))}`), stopLine(value.text, json.stop, paint)]
}

/** Where the value stops being JSON, with its surroundings: a value is often one long line. */
function stopLine(text: string, at: number, paint: Paint): string {
  const before = visible(text.slice(Math.max(0, at - BESIDE_STOP), at))
  const after = at >= text.length ? '(its end)' : visible(text.slice(at, at + BESIDE_STOP))
  return `${paint('red', `> ← not JSON from character ${at + 1} on:`)} …${before}${paint('red', '▸')}${after}`
}

function hexLines(bytes: Buffer): string[] {
  const more = bytes.length > HEX_BYTES ? [`  … ${bytes.length - HEX_BYTES} more: --hex`] : []
  return [
    ...hexDump(bytes, HEX_BYTES)
      .split('\n')
      .map(line => `  ${line}`),
    ...more,
  ]
}

/** Each violation at the end of the line of its place; of a long value only the lines around them. */
function jsonText(
  { lines, places }: ReturnType<typeof jsonLines>,
  violations: readonly Violation[],
  paint: Paint,
): string[] {
  const notes = new Map<number, string[]>()
  for (const { pointer, keyword, message } of violations) {
    const { line, missing } = placeOf(places, pointer)
    const what = missing === undefined ? message : `${missing} ${message}`
    notes.set(line, [...(notes.get(line) ?? []), visible(`${keyword}: ${what}`)])
  }
  const shown: string[] = []
  let folded = 0
  for (const [index, { depth, tokens }] of lines.entries()) {
    if (!isShown(index)) {
      folded += 1
      continue
    }
    unfold()
    const text = cut('  '.repeat(depth) + tokens.map(token => visible(token.text)).join(''))
    const beside = notes.get(index)
    shown.push(
      beside === undefined ? `  ${text}` : `${paint('red', '>')} ${text}  ${paint('red', `← ${beside.join('; ')}`)}`,
    )
  }
  unfold()
  return shown

  function unfold(): void {
    if (folded > 0) shown.push(`  … ${plural(folded, 'line')}`)
    folded = 0
  }
  function isShown(index: number): boolean {
    if (lines.length <= UNFOLDED || index < AROUND || index >= lines.length - AROUND) return true
    for (let near = index - AROUND; near <= index + AROUND; near++) if (notes.has(near)) return true
    return false
  }
}

function bytesText(bytes: ShownBytes | null): string {
  if (bytes === null) return 'none'
  if (bytes.text !== undefined) return bytes.text === '' ? 'empty' : cut(visible(bytes.text))
  return bytes.hex === undefined ? `hidden (${plural(bytes.bytes, 'byte')})` : cut(`0x${bytes.hex}`)
}

function headerText(header: ShownRecord['headers'][number]): string {
  if ('text' in header && header.text !== undefined) return cut(visible(header.text))
  if ('hex' in header && header.hex !== undefined) return cut(`0x${header.hex}`)
  return 'hidden'
}

function eventLine({ at, what, who, detail }: DeadLetterEvent): string {
  // A pointer is empty where the whole value is wrong.
  const facts = Object.entries(detail)
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `${name} ${value}`)
  return `  ${at}  ${visible(what)}${who === null ? '' : ` by ${visible(who)}`}${facts.length === 0 ? '' : `  (${visible(facts.join(', '))})`}`
}

function cut(text: string): string {
  return text.length <= LONGEST_LINE ? text : `${text.slice(0, LONGEST_LINE)}…`
}
