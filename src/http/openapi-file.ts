import { readFileSync } from 'node:fs'

const SCHEMAS = new URL('../../schemas/', import.meta.url)

export interface OpenapiFile {
  readonly components: { readonly schemas: Readonly<Record<string, object>> }
}

/** `schemas/openapi.json` as it is written: some of its schemas refer to other files of that folder. */
export function readOpenapiFile(): OpenapiFile {
  return readSchemaFile('openapi.json') as OpenapiFile
}

/** @param name of a file in `schemas/` */
export function readSchemaFile(name: string): unknown {
  return JSON.parse(readFileSync(new URL(name, SCHEMAS), 'utf8'))
}
