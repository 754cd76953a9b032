import { grouped } from '../engine/grouped.ts'
import { visible, visibleLines } from '../engine/visible.ts'

export interface ProgressState {
  readonly done: number
  /** Absent: a count is shown instead of a bar. */
  readonly total?: number | undefined
  /** Shown after the figures: a rate, a lag, what is waited for. */
  readonly text?: string | undefined
}

export interface Progress {
  /** Cheap enough to be called for each change. */
  update(state: ProgressState): void
  /** A line that stays, above the bar. */
  log(line: string): void
  /** Shows the last state once more and ends; safe twice. */
  stop(): void
}

export interface ProgressOptions {
  readonly label: string
  /** Set under `--json`, where a program reads. */
  readonly silent?: boolean
  readonly stream?: Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns'>
  /** Without a terminal: a line this often, in ms. */
  readonly lineEveryMs?: number
}

/** Often enough to look alive, and rarely enough to cost nothing. */
const REDRAW_MS = 100
const BAR_WIDTH = 24
const CLEAR_LINE = '\r\u001b[2K'

/** A bar on a terminal, a line every few seconds otherwise: on stderr, because stdout is for data. */
export function startProgress(options: ProgressOptions): Progress {
  const { label, stream = process.stderr, lineEveryMs = 5_000, silent = false } = options
  const live = stream.isTTY === true
  let state: ProgressState = { done: 0 }
  let shown = ''
  let running = true

  function draw(): void {
    const line = describe(label, state)
    if (silent || line === shown) return
    shown = line
    if (live) stream.write(`${CLEAR_LINE}${`${bar(state)}${line}`.slice(0, (stream.columns || 80) - 1)}`)
    else stream.write(`${line}\n`)
  }

  const timer = setInterval(draw, live ? REDRAW_MS : lineEveryMs)
  // A progress display must not keep the process alive.
  timer.unref()

  return {
    update(next) {
      state = next
    },
    log(line) {
      if (silent) return
      const said = visibleLines(line, live)
      stream.write(live ? `${CLEAR_LINE}${said}\n` : `${said}\n`)
      if (live) {
        shown = ''
        draw()
      }
    },
    stop() {
      if (!running) return
      running = false
      clearInterval(timer)
      draw()
      if (live && shown !== '') stream.write('\n')
    },
  }
}

function describe(label: string, { done, total, text }: ProgressState): string {
  // More is done than there was to do where records are read again, or another producer sends some.
  const count = total === undefined || done > total ? grouped(done) : `${grouped(done)} of ${grouped(total)}`
  const percent = total === undefined || total === 0 || done > total ? '' : ` (${Math.floor((100 * done) / total)}%)`
  return visible(`${label} ${count}${percent}${text === undefined || text === '' ? '' : `  ${text}`}`)
}

function bar({ done, total }: ProgressState): string {
  if (total === undefined || total === 0) return ''
  const filled = Math.min(BAR_WIDTH, Math.floor((BAR_WIDTH * done) / total))
  return `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)} `
}
