import type { ServerResponse } from 'node:http'

/**
 * Writes a body piece by piece: the next one is made and written only when the client has taken the one before, and between two
 * the event loop turns, so that neither a large answer nor a reader that does not read holds the stream up. How long an answer
 * may lie unread is bounded by `connections.ts`. Ends the answer; resolves when it is over, however it ended.
 */
export async function writePieces(res: ServerResponse, pieces: Iterable<string | Buffer>): Promise<void> {
  for (const piece of pieces) {
    if (res.destroyed) return
    await (res.write(piece) ? nextTurn() : drained(res))
  }
  res.end()
}

function nextTurn(): Promise<void> {
  return new Promise<void>(resolve => setImmediate(resolve))
}

async function drained(res: ServerResponse): Promise<void> {
  await new Promise<void>(resolve => {
    const done = () => {
      res.off('drain', done).off('close', done)
      resolve()
    }
    res.once('drain', done).once('close', done)
  })
}
