import { connect } from 'node:net'

/**
 * Asks a broker for the cluster's metadata and expects it to name that broker: only then does it serve clients. An open
 * port alone says nothing, for the port opens before the broker has joined its own cluster.
 *
 * Written by hand (Kafka protocol, Metadata v1, without topics) so that the start of a broker needs no native client.
 * @param brokerId its `node.id`
 * @throws Error when it does not answer so within a second.
 */
export function askForMetadata(port: number, brokerId = 1): Promise<void> {
  const request = Buffer.alloc(4 + 2 + 2 + 4 + 2 + 4)
  request.writeInt32BE(request.length - 4, 0) // size of what follows
  request.writeInt16BE(3, 4) // api key: Metadata
  request.writeInt16BE(1, 6) // api version
  request.writeInt32BE(1, 8) // correlation id
  request.writeInt16BE(-1, 12) // client id: null
  request.writeInt32BE(0, 14) // topics: none
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const socket = connect(port, '127.0.0.1', () => socket.write(request))
    socket.setTimeout(1000, () => socket.destroy(new Error('no answer within a second')))
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('closed without an answer')))
    socket.on('data', chunk => {
      chunks.push(chunk)
      const answer = Buffer.concat(chunks)
      if (answer.length < 4 || answer.length < 4 + answer.readInt32BE(0)) return
      if (brokersIn(answer).includes(brokerId)) resolve()
      else reject(new Error('the cluster does not know this broker yet'))
      socket.destroy()
    })
  })
}

/** Ids of the brokers in an answer: size and correlation id, then for each its id, host, port and rack (a text that may be null). */
function brokersIn(answer: Buffer): number[] {
  let at = 12
  return Array.from({ length: answer.readInt32BE(8) }, () => {
    const id = answer.readInt32BE(at)
    at += 4 + 2 + answer.readInt16BE(at + 4) + 4
    at += 2 + Math.max(0, answer.readInt16BE(at))
    return id
  })
}
