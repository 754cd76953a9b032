import pg from 'pg'
import type { CopyStatement } from '../value-sql.ts'

/** One message of the protocol, `CopyData`, holds at most so much: the server reads each as a whole into memory. */
const CHUNK_BYTES = 1024 * 1024
const COPY_DATA = 0x64
const HEAD_BYTES = 5
const COPY_DONE = Buffer.from([0x63, 0, 0, 0, 4])

/**
 * A COPY with its data ready, sent in one go: statement, data and end go out without waiting for the server's answer that it expects them,
 * so that a COPY can be one of several pipelined statements. When the server refuses the statement, or ends it early, it ignores what
 * is left of the data (PostgreSQL manual, 54.2.6): the connection is in step either way, and never left in COPY mode.
 *
 * `pg` pipelines only its own queries, so this is one. Its own answer to "send data" would be to fail the COPY.
 */
class CopyIn extends pg.Query {
  readonly copy: CopyStatement

  constructor(copy: CopyStatement, done: (error: Error | undefined, result: pg.QueryResult) => void) {
    super(copy.text, done)
    this.copy = copy
  }

  override submit = (connection: pg.Connection): void => {
    const { stream } = connection
    stream.cork()
    connection.query(this.copy.text)
    for (let at = 0; at < this.copy.bytes.length; at += CHUNK_BYTES) {
      const chunk = this.copy.bytes.subarray(at, at + CHUNK_BYTES)
      const head = Buffer.allocUnsafe(HEAD_BYTES)
      head[0] = COPY_DATA
      head.writeInt32BE(chunk.length + HEAD_BYTES - 1, 1)
      stream.write(head)
      stream.write(chunk)
    }
    stream.write(COPY_DONE)
    stream.uncork()
  }

  handleCopyInResponse(): void {}
}

/** @throws (rejects) what the server or the connection refuses */
export function copyIn(client: pg.ClientBase, copy: CopyStatement): Promise<pg.QueryResult> {
  return new Promise((resolve, reject) => {
    client.query(new CopyIn(copy, (error, result) => (error == null ? resolve(result) : reject(error))))
  })
}
