import { readFile } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import { UsageError } from '../engine/errors.ts'

/**
 * The values in a file, as they stand: no byte is parsed and written again, so that a number too large, a repeated key
 * or a broken value arrives as it was written.
 * @param path `-` reads stdin
 * @param flag that names the file, for errors
 * @throws UsageError when there is nothing to read
 */
export async function readValues(path: string, flag = '--file'): Promise<Buffer[]> {
  const bytes = await readBytes(path, flag)
  const values = splitValues(bytes)
  if (values.length === 0) throw new UsageError(`${flag} ${path}: ${path === '-' ? 'stdin' : path} holds no value`)
  return values
}

/** The whole file. @param path `-` reads stdin @throws UsageError when it cannot be read */
export async function readBytes(path: string, flag: string): Promise<Buffer> {
  try {
    return path === '-' ? await buffer(process.stdin) : await readFile(path)
  } catch (error) {
    throw new UsageError(`${flag} ${path} cannot be read: ${whyNot(error)}`)
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EISDIR: 'it is a directory',
  EACCES: 'it is not permitted',
  EEXIST: 'it is a file',
  ENOTDIR: 'a part of the path is a file',
}

/** Why a file or a folder that a flag names cannot be used. */
export function whyNot(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException
  return REASONS[code ?? ''] ?? code ?? String(error)
}

/**
 * A JSON array gives its elements; lines of which one at least is a JSON object (NDJSON) give their lines, also those that
 * are broken; anything else is one value, even when it is not JSON.
 */
export function splitValues(bytes: Buffer): Buffer[] {
  const whole = tryParse(bytes)
  if (Array.isArray(whole)) return elements(bytes)
  if (whole !== undefined) return [bytes]
  const lines = splitLines(bytes)
  if (lines.some(line => isObject(tryParse(line)))) return lines
  return lines.length === 0 ? [] : [bytes]
}

function tryParse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8').replace(/^\ufeff/, ''))
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function splitLines(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = []
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(0x0a, start)
    const end = newline === -1 ? bytes.length : newline
    const line = bytes.subarray(start, bytes[end - 1] === 0x0d && end > start ? end - 1 : end)
    if (line.some(byte => byte > 0x20)) lines.push(line)
    start = end + 1
  }
  return lines
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const OPEN: ReadonlySet<number> = new Set([0x5b, 0x7b])
const CLOSE: ReadonlySet<number> = new Set([0x5d, 0x7d])

/** @param bytes a valid JSON array: brackets and quotes are all that must be looked at */
function elements(bytes: Buffer): Buffer[] {
  const found: Buffer[] = []
  let depth = 0
  let start = 0
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0
    if (byte === QUOTE) {
      for (i++; bytes[i] !== QUOTE; i++) if (bytes[i] === BACKSLASH) i++
    } else if (OPEN.has(byte)) {
      depth += 1
      if (depth === 1) start = i + 1
    } else if (CLOSE.has(byte)) {
      depth -= 1
      if (depth === 0) found.push(trim(bytes.subarray(start, i)))
    } else if (byte === COMMA && depth === 1) {
      found.push(trim(bytes.subarray(start, i)))
      start = i + 1
    }
  }
  return found.filter(element => element.length > 0)
}

function trim(bytes: Buffer): Buffer {
  let start = 0
  let end = bytes.length
  while (start < end && (bytes[start] ?? 0) <= 0x20) start++
  while (end > start && (bytes[end - 1] ?? 0) <= 0x20) end--
  return bytes.subarray(start, end)
}
