import { connect } from 'node:net'

/**
 * Asks a broker for the cluster's metadata and expects it to name a broker: only then does it serve clients. An open
 * port alone says nothing, for the port opens before the broker has joined its own cluster.
 *
 * Written by hand (Kafka protocol, Metadata v1, without topics) so that the start of a broker needs no native client.
 * @throws Error when it does not answer so within a second.
 */
export function askForMetadata(port: number): Promise<void> {
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
      if (answer.length < 12) return // size, correlation id, number of brokers
      if (answer.readInt32BE(8) > 0) resolve()
      else reject(new Error('the cluster has no broker yet'))
      socket.destroy()
    })
  })
}
