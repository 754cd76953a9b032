import { connect } from 'node:net'

/**
 * Asks a broker in Kafka's own protocol, where the native client cannot, or is itself what is tested.
 * @param request from the api key on
 * @returns the answer from the correlation id on
 */
export async function askBroker(brokers: string, request: Buffer): Promise<Buffer> {
  const [host = '', port = ''] = brokers.split(':')
  const socket = connect(Number(port), host)
  socket.write(Buffer.concat([int32(request.length), request]))
  let received = Buffer.alloc(0)
  for await (const chunk of socket) {
    received = Buffer.concat([received, chunk])
    if (received.length >= 4 && received.length >= 4 + received.readInt32BE()) return received.subarray(4)
  }
  throw new Error(`${brokers} closed the connection within its answer`)
}

export function int8(value: number): Buffer {
  return Buffer.from([value])
}

export function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

export function text(value: string): Buffer {
  return Buffer.concat([int16(Buffer.byteLength(value)), Buffer.from(value)])
}
