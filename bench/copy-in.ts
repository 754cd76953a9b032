import type pg from 'pg'
import { type CopyBatch, copyText } from './copy-encoding.ts'

/** What a query of `pg`'s may use of its connection; its types leave COPY out. */
interface CopyConnection {
  query(text: string): void
  sendCopyFromChunk(chunk: Buffer): void
  endCopyFrom(): void
}

/**
 * Writes a batch in one transaction and one round trip: the streams follow the statements at once, and the server reads each as
 * soon as it has come to its COPY.
 */
export function sendCopy(client: pg.Client, streams: CopyBatch): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let failure: Error | undefined
  const submittable = {
    submit(connection: CopyConnection) {
      connection.query(copyText)
      for (const stream of streams) {
        connection.sendCopyFromChunk(stream)
        connection.endCopyFrom()
      }
    },
    handleCopyInResponse() {},
    handleCommandComplete() {},
    handleError(error: Error) {
      failure = error
      // An error takes the query away from the client: it is not asked for the end of it.
      reject(error)
    },
    handleReadyForQuery() {
      if (failure === undefined) resolve()
    },
  }
  client.query(submittable as unknown as pg.Submittable)
  return promise
}
