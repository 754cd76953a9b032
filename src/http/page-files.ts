import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { promisify } from 'node:util'
import { constants, gzip } from 'node:zlib'
import express, { type RequestHandler } from 'express'

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}

interface Packed {
  readonly mtimeMs: number
  readonly bytes: Buffer
  readonly etag: string
}

/**
 * The files of the pages. Clients that accept gzip get it: the files hold nothing secret and are the same for all, so each is packed
 * once, and the console loads over a slow line without a proxy. A file that changes on disk is packed again.
 */
export function pageFiles(folder: string): RequestHandler {
  const plain = express.static(folder, {
    cacheControl: false,
    setHeaders: res => {
      res.setHeader('Cache-Control', 'no-cache')
      res.vary('Accept-Encoding')
    },
  })
  // Only what stands there at the start can be asked for by name: no path is ever put together from an address.
  const files = new Map(
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter(name => TYPES[extname(name)] !== undefined)
      .map(name => [`/${name.replaceAll('\\', '/')}`, join(folder, name)]),
  )
  const packed = new Map<string, Packed>()

  return async (req, res, next) => {
    const file = files.get(req.path)
    const mayPack = (req.method === 'GET' || req.method === 'HEAD') && req.acceptsEncodings('gzip') === 'gzip'
    if (file === undefined || !mayPack) return plain(req, res, next)
    const { mtimeMs } = await stat(file)
    let found = packed.get(file)
    if (found?.mtimeMs !== mtimeMs) {
      found = await pack(file, mtimeMs)
      packed.set(file, found)
    }
    res.setHeader('Content-Type', TYPES[extname(file)] ?? '')
    res.setHeader('Cache-Control', 'no-cache')
    res.setHeader('Vary', 'Accept-Encoding')
    res.setHeader('ETag', found.etag)
    if (req.fresh) return void res.writeHead(304).end()
    res.writeHead(200, { 'Content-Encoding': 'gzip', 'Content-Length': found.bytes.length })
    res.end(req.method === 'HEAD' ? undefined : found.bytes)
  }
}

async function pack(file: string, mtimeMs: number): Promise<Packed> {
  const bytes = await promisify(gzip)(await readFile(file), { level: constants.Z_BEST_COMPRESSION })
  return { mtimeMs, bytes, etag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"` }
}
