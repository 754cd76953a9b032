import { onTestFinished } from 'vitest'
import { createWire, type Wire } from './wire.ts'

/** A proxy between the clients that connect to `url` and the server of that database. It is closed at the end of the test. */
export async function wireToPostgres(databaseUrl: string): Promise<Wire & { readonly url: string }> {
  const url = new URL(databaseUrl)
  const wire = await createWire({ targetPort: Number(url.port) })
  onTestFinished(() => wire[Symbol.asyncDispose]())
  url.port = String(wire.port)
  return { ...wire, url: url.href }
}
