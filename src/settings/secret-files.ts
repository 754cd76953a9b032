import { readFileSync, statSync } from 'node:fs'
import { Mismatch } from './setting.ts'

/** Larger than any secret: a key file of several certificates has 20 KB. */
const MAX_BYTES = 64 * 1024
/** An editor and `echo` end a file with a line break that belongs to no secret. */
const LINE_BREAK = /\r?\n$/

/** The text of a file that holds one secret, without a line break at its end. */
export function readSecretFile(path: string): string | Mismatch {
  let bytes: Buffer
  try {
    const file = statSync(path)
    // A pipe can be read once, and the file is read again.
    if (!file.isFile()) return new Mismatch('the path of a regular file')
    if (file.size > MAX_BYTES) return new Mismatch(`a file of at most ${MAX_BYTES / 1024} KiB`)
    bytes = readFileSync(path)
  } catch (error) {
    const { code = 'unknown' } = error as NodeJS.ErrnoException
    return new Mismatch(`the path of a file that can be read (${code})`)
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes).replace(LINE_BREAK, '')
    return text.trim() === '' ? new Mismatch('the path of a file that is not empty') : text
  } catch {
    return new Mismatch('the path of a file with UTF-8 text')
  }
}

/** What distinguishes one content of a file from the next, without reading it. Follows links: Kubernetes exchanges one. */
function markOf(path: string): string {
  try {
    const { ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true })
    return `${ino} ${size} ${mtimeNs} ${ctimeNs}`
  } catch {
    return 'none'
  }
}

/** Values that are read from files, as the files are now. */
export interface Reread<V> {
  /** Those of the files as they are, or as they were when they could last be used. */
  latest(): V
  /** What cannot be used of the files as they are now, a line each; those before it stay in effect. */
  problems(): readonly string[]
}

/** Between two looks at the files, in ms: a request may ask each time. */
const LOOK_EVERY_MS = 500

/**
 * @param first what the files hold now
 * @param read reads them again @throws Error with `problems`
 */
export function rereading<V>(
  paths: readonly string[],
  first: V,
  read: () => V,
  problemsOf: (error: unknown) => readonly string[],
): Reread<V> {
  let values = first
  let problems: readonly string[] = []
  let marks = paths.map(markOf).join()
  let lookedAtMs = performance.now()

  function look(): void {
    if (paths.length === 0 || performance.now() - lookedAtMs < LOOK_EVERY_MS) return
    lookedAtMs = performance.now()
    const now = paths.map(markOf).join()
    // What could not be used may have been written to its end since.
    if (now === marks && problems.length === 0) return
    marks = now
    try {
      values = read()
      problems = []
    } catch (error) {
      problems = problemsOf(error)
    }
  }

  return {
    latest() {
      look()
      return values
    },
    problems() {
      look()
      return problems
    },
  }
}
