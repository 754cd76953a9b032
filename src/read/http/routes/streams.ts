import type { Router } from 'express'
import { fixedJsonRoute } from '../../../http/fixed-json.ts'
import type { ReadStream } from '../stream-reading.ts'

/** A stream, for the pages and for programs that should work with any. */
export interface StreamEntry {
  readonly name: string
  readonly topic: string
  readonly route: string
  /** Path of one value, with `{key}` in the place of the key. */
  readonly value_path: string
  readonly create_path: string
  readonly live_path: string
  /** JSON Pointer to the key in a value. */
  readonly key: string
  /** Columns that pages can be restricted by; null: this stream has no pages. */
  readonly list: { readonly by: readonly string[] } | null
  /** Names of members and fields: the values of a page, the key of an answer, the file of a form. */
  readonly values_field: string
  readonly key_field: string
  readonly file_field: string
  /** What people call a value and its key. */
  readonly value_name: string
  readonly key_name: string
  /** The script that lays a value out. */
  readonly view: string
  readonly sample_key: string | null
}

export function streamEntry({ name, topic, key, queries: { list }, http }: ReadStream): StreamEntry {
  return {
    name,
    topic,
    route: http.list,
    value_path: (http.paths[0] ?? '').replace(/:\w+/, '{key}'),
    create_path: http.create,
    live_path: http.live,
    key,
    list: list === undefined ? null : { by: list.by },
    values_field: http.many,
    key_field: http.keyField,
    file_field: http.fileField,
    value_name: http.one,
    key_name: http.keyWord,
    view: `/${http.view}`,
    sample_key: http.sample ?? null,
  }
}

/**
 * How people start the command line where this file is installed: from the root of a checkout, or of a project that has the package.
 * @param url of a module of this installation
 */
export function commandOf(url: string): string {
  return url.includes('/node_modules/') ? 'npx holdfast' : 'bin/holdfast'
}

/** What pages put before a command that a person may copy. */
export const COMMAND = commandOf(import.meta.url)

/** `GET /streams`: the streams of this process, and its command line. Without a key, as the OpenAPI document, which names them as well. */
export function streamsRoute(streams: readonly ReadStream[]): Router {
  return fixedJsonRoute('/streams', { streams: streams.map(streamEntry), command: COMMAND })
}
