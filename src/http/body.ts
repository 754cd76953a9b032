import type { IncomingMessage } from 'node:http'
import { Busboy, type BusboyHeaders } from '@fastify/busboy'
import { type HttpNames, withArticle } from '../engine/http-names.ts'
import type { Problem } from './problem.ts'

export type Body = { readonly ok: true; readonly bytes: Buffer } | { readonly ok: false; readonly problem: Problem }

/** What a form may weigh beyond its file: boundaries and headers of its parts. */
const FORM_OVERHEAD_BYTES = 16 * 1024
export const JSON_TYPE = /^application\/json *(?:; *charset="?utf-8"? *)?$/i
/** What is read, and not kept, of a body that is refused: the usual photo or table that was chosen by mistake. */
const DISCARDED_BYTES = 16 * 1024 * 1024

/** What is read, for the sentences of problems, and in which field of a form it comes. */
export type Expected = Pick<HttpNames, 'one' | 'fileField'>

/**
 * Reads one JSON document: the body itself (`application/json`), or the file of a form.
 * What is too much is not kept. Rejects when the client goes away in the middle.
 */
export async function readBody(req: IncomingMessage, maxBytes: number, expected: Expected): Promise<Body> {
  const type = req.headers['content-type'] ?? ''
  const encoding = req.headers['content-encoding'] ?? 'identity'
  if (encoding !== 'identity') return refuse(unsupported(expected))
  if (JSON_TYPE.test(type)) return await readPlain(req, maxBytes, subjectOf(expected))
  if (/^multipart\/form-data *;/i.test(type)) return await readForm(req, maxBytes, expected)
  return refuse(unsupported(expected))
}

/** The body as it stands. Rejects when the client goes away in the middle. @param what subject of a sentence: `The body` */
export async function readPlain(req: IncomingMessage, maxBytes: number, what: string): Promise<Body> {
  const refusal = tooLarge(maxBytes, what)
  const chunks: Buffer[] = []
  let size = 0
  if (Number(req.headers['content-length'] ?? 0) > maxBytes) return discard(req, refusal)
  return await new Promise((resolve, reject) => {
    req.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= maxBytes) chunks.push(chunk)
      else resolve(discard(req, refusal))
    })
    req.on('end', () => resolve({ ok: true, bytes: Buffer.concat(chunks) }))
    req.on('error', reject)
  })
}

/** Files of any type and name: only what is in them counts. */
async function readForm(req: IncomingMessage, maxBytes: number, expected: Expected): Promise<Body> {
  const refusal = tooLarge(maxBytes, subjectOf(expected))
  if (Number(req.headers['content-length'] ?? 0) > maxBytes + FORM_OVERHEAD_BYTES) {
    return discard(req, refusal)
  }
  let form: InstanceType<typeof Busboy>
  try {
    form = new Busboy({
      headers: req.headers as BusboyHeaders,
      // One byte more than allowed shows that there was more.
      limits: { fileSize: maxBytes + 1, files: 2, fields: 10, fieldSize: 1024, parts: 12, headerPairs: 50 },
    })
  } catch {
    return discard(req, BROKEN_FORM)
  }
  const files: Buffer[] = []
  let others = 0
  return await new Promise((resolve, reject) => {
    form.on('file', (name, file) => {
      const chunks: Buffer[] = []
      file.on('data', (chunk: Buffer) => {
        if (name === expected.fileField) chunks.push(chunk)
      })
      // The form itself reports a file that ends too early.
      file.on('error', () => {})
      file.on('end', () => {
        if (name === expected.fileField) files.push(Buffer.concat(chunks))
        else others += 1
      })
    })
    form.on('error', () => resolve(discard(req, BROKEN_FORM)))
    form.on('finish', () => {
      const [bytes] = files
      if (bytes === undefined || files.length + others > 1) resolve(refuse(oneFile(expected)))
      else if (bytes.length > maxBytes) resolve(discard(req, refusal))
      else resolve({ ok: true, bytes })
    })
    let size = 0
    req.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > maxBytes + FORM_OVERHEAD_BYTES) resolve(discard(req, refusal))
    })
    req.on('error', reject)
    req.pipe(form)
  })
}

/**
 * Many clients look for an answer only after they have sent everything, and a connection that is closed before costs them
 * that answer. So the rest is read and thrown away, up to a bound; what goes on beyond it is cut off.
 */
async function discard(req: IncomingMessage, problem: Problem): Promise<Body> {
  req.unpipe()
  req.removeAllListeners('data')
  if (req.readableEnded) return refuse(problem)
  return await new Promise(resolve => {
    let left = DISCARDED_BYTES
    req.on('data', (chunk: Buffer) => {
      left -= chunk.length
      if (left < 0) resolve(refuse({ ...problem, headers: { ...problem.headers, Connection: 'close' } }))
    })
    // Also when the client goes away before the end.
    req.on('close', () => resolve(refuse(problem)))
    req.resume()
  })
}

function refuse(problem: Problem): Body {
  return { ok: false, problem }
}

function unsupported({ one, fileField }: Expected): Problem {
  return {
    status: 415,
    code: 'unsupported_media_type',
    detail: `Send the ${one} as application/json in UTF-8, or as a form (multipart/form-data) with the file ${fileField}.`,
    headers: { Accept: 'application/json, multipart/form-data' },
  }
}

const BROKEN_FORM: Problem = {
  status: 400,
  code: 'broken_form',
  detail: 'The form could not be read: it ends too early, or its boundary is wrong.',
}

function oneFile({ fileField }: Expected): Problem {
  return {
    status: 400,
    code: 'one_file',
    detail: `The form must hold exactly one file, and name it ${fileField}.`,
  }
}

/** `An order`. */
function subjectOf({ one }: Expected): string {
  const words = withArticle(one)
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}`
}

function tooLarge(maxBytes: number, what: string): Problem {
  return {
    status: 413,
    code: 'too_large',
    detail: `${what} may have at most ${maxBytes} bytes.`,
  }
}
