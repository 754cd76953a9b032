import { onTestFinished } from 'vitest'
import { createWire, type Wire } from './wire.ts'

/** A wire between whoever connects to `url` and the server of that database. Goes with the test. */
export async function wireToPostgres(databaseUrl: string): Promise<Wire & { readonly url: string }> {
  const url = new URL(databaseUrl)
  const wire = await createWire({ targetPort: Number(url.port) })
  onTestFinished(() => wire[Symbol.asyncDispose]())
  url.port = String(wire.port)
  return { ...wire, url: url.href }
}
