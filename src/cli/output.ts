import { styleText } from 'node:util'
import { visible, visibleLines } from '../engine/visible.ts'

/** Data, on stdout: all that a pipe gets. JSON stays JSON, with invisible characters escaped. */
export function print(line: string): void {
  process.stdout.write(`${visibleLines(line, hasColours(process.stdout))}\n`)
}

/** Many lines: waits while the reader of the pipe is slower, so that they do not fill the memory. */
export async function printAll(lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return
  await write(`${visibleLines(lines.join('\n'), hasColours(process.stdout))}\n`)
}

/** Whether `styleText` colours text for this stream. */
function hasColours(stream: NodeJS.WriteStream): boolean {
  return styleText('bold', '.', { stream }) !== '.'
}

/** Bytes as they are, on stdout. Resolves when the stream takes more. */
export async function write(data: string | Buffer): Promise<void> {
  if (process.stdout.write(data)) return
  await new Promise<void>(resolve => process.stdout.once('drain', resolve))
}

/** Progress and remarks, on stderr. */
export function note(line: string): void {
  process.stderr.write(`${visibleLines(line, hasColours(process.stderr))}\n`)
}

/** Colours for stderr: none without a terminal or with NO_COLOR. */
export function paint(format: Parameters<typeof styleText>[0], text: string): string {
  return styleText(format, text, { stream: process.stderr })
}

/** Colours for stdout: none without a terminal or with NO_COLOR. */
export function paintData(format: Parameters<typeof styleText>[0], text: string): string {
  return styleText(format, text, { stream: process.stdout })
}

/** `head` closes the pipe when it has enough: that ends the command without a failure. A full disk is a failure. */
export function quietBrokenPipe(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    note(`${paint('red', 'error:')} stdout cannot be written: ${error.message}`)
    process.exit(1)
  })
  process.stderr.on('error', () => {})
}

/** Aligned columns under a header. Cells may come from records, so that none may begin a line of its own. */
export function table(header: readonly string[], texts: readonly (readonly string[])[]): string {
  const rows = texts.map(cells => cells.map(visible))
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map(row => row[column]?.length ?? 0)))
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  return [header, ...rows].map(line).join('\n')
}
