import type { IncomingMessage } from 'node:http'
import { ipKeyGenerator } from 'express-rate-limit'

/** Who connects, for limits. An IPv6 network counts as one caller: its owner has all of its addresses. */
export function addressOf({ socket }: Pick<IncomingMessage, 'socket'>): string {
  return ipKeyGenerator(socket.remoteAddress ?? 'unknown')
}
